/* SPDX-License-Identifier: ISC */
#include "postdrop/sendmail.h"

int smtp_dialogue(const struct sendmail *s)
{
	(void)s;
	fail(EXIT_UNAVAILABLE, "-bs is not there yet");
}
