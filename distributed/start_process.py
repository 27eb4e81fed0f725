"""Starts one process of a job on its host, passes signals on, and kills it when the job ends.

``launch.py`` runs this script, directly or through ssh, and writes to its standard input: first a
line of JSON with the command, directory and environment; later a line with the number of each
signal to pass on. The input ends when launch.py or the connection does: then the process is killed.
"""

import json
import os
import signal
import subprocess
import sys
import threading

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from system.processes import die_with_parent


def pass_on_signals(process):
    """Send the signals that standard input names to a process; kill its group when that ends."""
    for line in sys.stdin:
        process.send_signal(int(line))
    os.killpg(process.pid, signal.SIGKILL)


def _bytes(text):
    """Encode a text as UTF-8, as names of files are encoded, whatever locale ssh sets."""
    return text.encode('utf-8', 'surrogateescape')


def main():
    start = json.loads(sys.stdin.readline())
    try:
        command = list(map(_bytes, start['command']))
        environment = {_bytes(key): _bytes(value) for key, value in start['environment'].items()}
        process = subprocess.Popen(
            command,
            cwd=_bytes(start['directory']),
            env={**os.environb, **environment},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    except OSError as error:
        sys.stderr.write(
            f'{start["command"][0]} cannot be started in {start["directory"]} ({error.strerror})\n'
        )
        return 127
    threading.Thread(target=pass_on_signals, args=[process], daemon=True).start()
    status = process.wait()
    return status if status >= 0 else 128 - status


if __name__ == '__main__':
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # an ordinary exit would wait for the thread, which waits for input
