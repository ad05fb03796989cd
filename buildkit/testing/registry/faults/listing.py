"""Lists of tags that are not what they should be, and registries that delete in ways of their own."""

from __future__ import annotations

from buildkit.testing.registry.exchange import Exchange, Reply, error_reply, json_reply
from buildkit.testing.registry.faults.base import Fault
from buildkit.testing.registry.store import Store


class TagPages(Fault):
    """Pages of tags, `how`:

    `unpaged`: all at once and in no order, whatever `n` (distribution 2.8); `silent`: no Link, though there is
    more (go-containerregistry); `small`: at most `count` at a time; `elsewhere`: the Link leads to another host;
    `circle`: it leads back; `again`: new addresses, the same tags; `endless`: new tags for ever.
    """

    def __init__(self, how: str, count: int = 2) -> None:
        super().__init__("GET tags")
        self._how = how
        self._count = count
        self._made = 0

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        if not self.strikes(exchange) or exchange.repository not in store.repositories:
            return None
        name, tags = exchange.repository, sorted(store.repository(exchange.repository).tags)
        if self._how == "unpaged":
            return json_reply(200, {"name": name, "tags": tags[::-1] or None})
        if self._how in ("silent", "small"):
            asked = int(exchange.query.get("n") or self._count)
            exchange.query["n"] = str(min(asked, self._count) if self._how == "small" else asked)
            return None
        self._made += 1
        page = [f"made-{self._made}"] if self._how == "endless" else tags
        host = "http://127.0.0.1:1" if self._how == "elsewhere" else ""
        mark = "" if self._how == "circle" else f"&last={self._made}"
        link = f'<{host}/v2/{name}/tags/list?n=1000{mark}>; rel="next"'
        return json_reply(200, {"name": name, "tags": page}, Link=link)

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        silent = self._how == "silent" and exchange.verb == self.verb
        return reply.with_headers(Link=None) if silent else reply


class NoDeletes(Fault):
    """Deletion is switched off (distribution's default; ECR, GHCR)."""

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        return error_reply(405, "UNSUPPORTED") if exchange.verb == "DELETE manifest" else None


class OnlyDigests(Fault):
    """A tag cannot be deleted by its name (distribution 2.8)."""

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        tagged = exchange.verb == "DELETE manifest" and ":" not in exchange.name
        return error_reply(400, "DIGEST_INVALID") if tagged else None


class TagsStay(Fault):
    """A manifest that is deleted by digest lives on under its tags (go-containerregistry), until the last one goes."""

    def __init__(self) -> None:
        super().__init__("DELETE manifest")
        self._deleted: set[str] = set()

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        repository = store.repository(exchange.repository)
        if exchange.verb != self.verb or exchange.name not in repository.tags.values():
            return None
        self._deleted.add(exchange.name)
        return Reply(202)

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        repository = store.repository(exchange.repository)
        if exchange.verb == self.verb:
            for digest in self._deleted - set(repository.tags.values()):
                repository.manifests.pop(digest, None)
        return reply


class TagsFirst(Fault):
    """A manifest goes only when no tag and no index names it any more (Google Artifact Registry)."""

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        repository = store.repository(exchange.repository)
        if exchange.verb != "DELETE manifest" or ":" not in exchange.name:
            return None
        if exchange.name in repository.tags.values():
            return error_reply(400, "GOOGLE_MANIFEST_DANGLING_TAG")
        parents = (manifest.fields.get("manifests") or [] for manifest in repository.manifests.values())
        if any(entry["digest"] == exchange.name for entries in parents for entry in entries):
            return error_reply(400, "GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE")
        return None
