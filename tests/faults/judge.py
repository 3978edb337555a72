# SPDX-License-Identifier: ISC
"""The judge: what was promised must be out, or told to its sender, or in the queue."""

import threading
import time

from workloads import sender

PATIENCE = 60
GRACE = 2.0  # seconds from a final dot to the flush of its STATUS, on a machine under full load


class Judge:
    def __init__(self, places):
        """places(number) says where a message has to come out."""
        self.places = places
        self.lock = threading.Lock()
        self.number = 0
        self.promised, self.sent_at = set(), {}
        self.faults = []  # when
        self.total, self.lost, self.doubles, self.wrong = 0, [], 0, []

    def next_number(self):
        with self.lock:
            self.number += 1
            self.sent_at[self.number] = time.monotonic()
            return self.number

    def promise(self, number):
        with self.lock:
            if number not in self.promised:
                self.promised.add(number)
                self.total += 1

    def fault(self, when):
        self.faults.append(when)

    def missing(self, listing, out):
        """The promised numbers that neither came out everywhere nor are in the queue, as a copy or a notice."""
        with self.lock:
            open_numbers = {n for n in self.promised if any(p not in out for p in self.places(n))}
        waiting = {m["sender"] for m in listing}
        waiting |= {r["address"] for m in listing for r in m["recipients"]}
        return {n for n in open_numbers if sender(n) not in waiting}

    def look(self, read_queue, read_out, patience=PATIENCE, is_over=lambda: False):
        """Waits until everything is accounted for; what is not by then is lost. Mail goes from the queue outwards: the
        list is read first. A fault may end the look; then the next one has to find everything."""
        end = time.monotonic() + patience
        while True:
            listing = read_queue()
            missing = None if listing is None else self.missing(listing, read_out())
            if missing == set() or is_over():
                return
            if time.monotonic() > end:
                break
            time.sleep(0.05)
        if missing is None:
            self.wrong.append("the queue can't be listed")
        else:
            self.lose(missing)

    def lose(self, numbers):
        self.lost += sorted(numbers)
        with self.lock:
            self.promised -= numbers

    def count_sink(self, taken, is_direct):
        """Copies that came twice: the first one's outcome may be lost when a fault came soon after it. What was made a
        new message on its way (a forward, a notice, a file of maildrop/) may have been made twice since it was sent."""
        for place, copies in taken.items():
            for (first, its_id), (again, other_id) in zip(copies, copies[1:]):
                self.doubles += 1
                begin = first - 0.1 if is_direct(place) else self.sent_at.get(place[1], first)
                if not any(begin <= fault <= first + GRACE for fault in self.faults):
                    self.wrong.append(f"{place} came as {its_id}, after {again - first:.2f} s again as {other_id}, and "
                                      "no fault excuses it")

    def count_mailboxes(self, found, broken, is_direct):
        """A Maildir gets each message once. An alias of several makes a new message, for which a fault can be too soon,
        as for any other way out."""
        for place, count in found.items():
            if count > 1 and place[1] is not None:
                self.doubles += count - 1
                if is_direct(place):
                    self.wrong.append(f"{place} is there {count} times")
        self.wrong += [f"{name} is not whole" for name in broken]

    def forget(self):
        """After a drain, when all was looked at."""
        with self.lock:
            self.promised.clear()
            self.sent_at.clear()
