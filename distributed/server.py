"""A server or the scheduler of MXNet's parameter server, as the environment says: python -m distributed.server."""

import os

ROLE = 'DMLC_ROLE'


def main():
    # MXNet becomes a server in the middle of its own import, when it could not yet load the
    # optimiser that dist_async sends it. So it is imported as if by a worker, and told afterwards.
    role = os.environ.pop(ROLE)
    from common.recipe import mx

    os.environ[ROLE] = role
    mx.kvstore.KVStoreServer(mx.kv.create('dist')).run()


if __name__ == '__main__':
    main()
