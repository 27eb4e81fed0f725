"""One process of a job, kept by ``launch.py`` over this one's standard input, on this machine or through ssh.

The first line is the job as JSON: command, directory, environment. A later line with a number sends
that signal; the end of the input, which the end of launch.py or of the connection brings, kills the
process.
"""

import json
import os
import signal
import subprocess
import sys
import threading

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from system.processes import die_with_parent


def obey(process):
    for line in sys.stdin:
        process.send_signal(int(line))
    os.killpg(process.pid, signal.SIGKILL)


def _bytes(text):
    """Return a name as the files here have it: in UTF-8, whatever the locale is that ssh sets."""
    return text.encode('utf-8', 'surrogateescape')


def main():
    job = json.loads(sys.stdin.readline())
    try:
        command, environment = (
            list(map(_bytes, job['command'])),
            {_bytes(key): _bytes(value) for key, value in job['environment'].items()},
        )
        process = subprocess.Popen(
            command,
            cwd=_bytes(job['directory']),
            env={**os.environb, **environment},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    except OSError as error:
        sys.stderr.write(
            f'{job["command"][0]} cannot be started in {job["directory"]} ({error.strerror})\n'
        )
        return 127
    threading.Thread(target=obey, args=[process], daemon=True).start()
    status = process.wait()
    return status if status >= 0 else 128 - status


if __name__ == '__main__':
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a thread that waits for input would be waited for
