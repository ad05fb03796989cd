"""The wheels of a selection become verified files on this machine, from wherever they may come.

In: LockedWheels, folders of wheels, and what the trusted half of the settings says of hosts and indexes. Out:
FetchedWheels: files whose hash is one of the lock's. Start reading at `fetcher.py`; `trust.py` says who may be asked,
`store.py` keeps what came, `verified.py` says when a hash is known, and `web.py` alone speaks to the network.
"""
