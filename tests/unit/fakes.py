"""Small stand-ins that the unit tests share."""

from ehpc_nodes.errors import CancelledError


class FakeClock:
    """A clock that only sleeping advances. ``at`` runs something when its time comes."""

    def __init__(self):
        self.time = 1000.0
        self.slept = []
        self.events = []

    def now(self):
        return self.time

    wall = now

    def sleep(self, seconds):
        if seconds:  # none: a question whether the run was stopped
            self.slept.append(seconds)
        self.time += seconds
        for moment, action in [e for e in self.events if e[0] <= self.time]:
            self.events.remove((moment, action))
            action()

    def at(self, seconds, action):
        self.events.append((self.time + seconds, action))

    def cancel_at(self, seconds):
        def cancel():
            raise CancelledError("Cancelled while waiting.")

        self.at(seconds, cancel)


class Said:
    """A reporter that remembers."""

    def __init__(self):
        self.statuses, self.infos, self.warnings = [], [], []

    def status(self, text):
        self.statuses.append(text)

    def info(self, text):
        self.infos.append(text)

    def warning(self, text):
        self.warnings.append(text)
