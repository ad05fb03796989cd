"""Base images: a reference, resolved to a digest, a manifest and a config. Their layers are never pulled for a build.

In: a reference and a platform. Out: `Base`; and, for those who ask what is in it, `Facts`, for which its layers are
streamed once. Start reading at `base.py`.
"""
