/* SPDX-License-Identifier: ISC */
/*
 * Linked with a store that breaks its protocol on purpose (tests/unit/queue/check-bad-stores makes them), it
 * exits 0 when the harness of world.h finds a message lost or invented; or else, when a world ends, damage seen
 * where there was none, or a file that was written after its flush failed. Without this nobody knows whether the
 * harness has teeth.
 */
#include "tests/unit/queue/world.h"

static struct tally tally;

enum { SEEDS = 12, CRASH_POINTS = 1000, FAULT_ODDS = 30 };

int main(void)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world *w = world_new(seed, seed % 2 == 0 ? FAULT_ODDS : 0, &tally);

		work(w, CRASH_POINTS);
		if (w->losses > 0) {
			printf("after %lu crash points: %s\n", w->moments, w->first_loss);
			return 0;
		}
		if (w->false_alarms > 0 || w->device->untrusted_writes > 0) {
			printf("after %lu crash points: %s\n", w->moments,
			    w->false_alarms > 0 ? "damage where there was none"
						: "a write after a failed flush");
			return 0;
		}
		world_free(w);
	}
	printf("nothing was lost\n");
	return 1;
}
