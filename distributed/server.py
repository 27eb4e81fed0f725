"""A server or the scheduler of MXNet's parameter server: python -m distributed.server.

Which of the two, and where the others are, the environment says.
"""

import os

from engine import mx

ROLE = 'DMLC_ROLE'


def main():
    # MXNet becomes a server in the middle of its own import, when it could not yet load the
    # optimiser that dist_async sends it. So it is imported as if by a worker, and told afterwards.
    role = os.environ.pop(ROLE)
    import engine.optimizer  # noqa: F401

    os.environ[ROLE] = role
    mx.kvstore.KVStoreServer(mx.kv.create('dist')).run()


if __name__ == '__main__':
    main()
