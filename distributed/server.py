"""Runs a server or the scheduler of MXNet's parameter server: python -m distributed.server.

The environment variables that ``launch.py`` sets say which of the two it is, and the addresses.
"""

import os

from engine import mx

ROLE = 'DMLC_ROLE'


def main():
    # With the role in the environment, MXNet would run the server in the middle of its own import,
    # when the optimiser that dist_async sends cannot be loaded yet. So it is imported without.
    role = os.environ.pop(ROLE)
    import engine.optimizer  # noqa: F401 -- imports MXNet, so it cannot be at the top

    os.environ[ROLE] = role
    mx.kvstore.KVStoreServer(mx.kv.create('dist')).run()


if __name__ == '__main__':
    main()
