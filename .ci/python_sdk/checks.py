"""Counts and prints comparisons."""


class Checks:
    """Counts and prints checks, one line each, and for a failed one what differs."""

    def __init__(self):
        self.passed = self.failed = 0

    def equal(self, what, stored, sent):
        """Compares two dicts key by key; types count, so 1, 1.0 and True differ."""
        keys = list(sent) + [key for key in stored if key not in sent]
        missing = "(missing)"
        pairs = [(key, stored.get(key, missing), sent.get(key, missing)) for key in keys]
        differing = [pair for pair in pairs if repr(pair[1]) != repr(pair[2])]
        if not differing:
            self.passed += 1
            print(f"ok      {what}")
            return
        self.failed += 1
        print(f"FAILED  {what}")
        for key, is_stored, was_sent in differing:
            print(f"          {key}\n            sent   {was_sent!r}\n            stored {is_stored!r}")
