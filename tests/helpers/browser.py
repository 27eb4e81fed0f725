"""A headless Chromium that tests drive through its DevTools protocol, over two pipes."""

import base64
import json
import os
import select
import shutil
import subprocess
import time

PROGRAM = shutil.which('chromium') or shutil.which('chromium-browser')
PATIENCE = 30  # seconds for an answer


class Browser:
    """One page in a Chromium of its own; use it in a ``with`` statement."""

    def __init__(self, folder):
        command = [PROGRAM, '--headless', '--remote-debugging-pipe', f'--user-data-dir={folder}']
        command += ['--no-first-run', '--disable-gpu', '--disable-extensions']
        command += ['--hide-scrollbars', '--disable-background-networking']
        if os.geteuid() == 0:
            command.append('--no-sandbox')  # Chromium has no sandbox for root
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()

        def connect():  # Chromium reads from descriptor 3 and writes to 4
            first, second = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(first, 3)
            os.dup2(second, 4)

        self._process = subprocess.Popen(
            command, preexec_fn=connect, pass_fds=(3, 4), stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._number, self._rest, self.events, self._session = 0, b'', [], None
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        self._session = self.call('Target.attachToTarget', targetId=target, flatten=True)[
            'sessionId'
        ]
        for domain in ('Page', 'Network', 'Log', 'Runtime'):
            self.call(f'{domain}.enable')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()
        os.close(self._out)
        os.close(self._in)

    def call(self, method, **parameters):
        """Call a method of the protocol and return its result."""
        self._number += 1
        message = {'id': self._number, 'method': method, 'params': parameters}
        if self._session:
            message['sessionId'] = self._session
        os.write(self._out, json.dumps(message).encode() + b'\0')
        answer = self._until(lambda found: found.get('id') == self._number)
        assert 'error' not in answer, answer['error']
        return answer['result']

    def wait(self, method):
        """Wait for an event that has not been waited for."""
        for number, event in enumerate(self.events):
            if event['method'] == method:
                return self.events.pop(number)
        return self._until(lambda found: found.get('method') == method)

    def _until(self, wanted):
        end = time.time() + PATIENCE
        while True:
            while b'\0' in self._rest:
                line, _, self._rest = self._rest.partition(b'\0')
                message = json.loads(line)
                if wanted(message):
                    return message
                if 'method' in message:
                    self.events.append(message)
            ready, _, _ = select.select([self._in], [], [], max(0, end - time.time()))
            assert ready, 'Chromium does not answer'
            self._rest += os.read(self._in, 1 << 16)

    def show(self, width, dark=False, height=800):
        """Set the size of the window in pixels and the colours that the reader prefers."""
        self.call(
            'Emulation.setDeviceMetricsOverride',
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}
        self.call('Emulation.setEmulatedMedia', features=[scheme])

    def open(self, path):
        """Load a file."""
        self.events.clear()
        self.call('Page.navigate', url=f'file://{path}')
        self.wait('Page.loadEventFired')

    def run(self, expression):
        """Return the value of a JavaScript expression in the page."""
        result = self.call('Runtime.evaluate', expression=expression, returnByValue=True)
        assert 'exceptionDetails' not in result, result['exceptionDetails']
        return result['result'].get('value')

    def press(self, key, code=0, text=''):
        """Press and release a key, such as Tab."""
        common = {'key': key, 'code': key, 'windowsVirtualKeyCode': code}
        self.call('Input.dispatchKeyEvent', type='keyDown', text=text, **common)
        self.call('Input.dispatchKeyEvent', type='keyUp', **common)

    def screenshot(self, path, whole=True):
        found = self.call('Page.captureScreenshot', captureBeyondViewport=whole)
        with open(path, 'wb') as file:
            file.write(base64.b64decode(found['data']))
