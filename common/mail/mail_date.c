/* SPDX-License-Identifier: ISC */
/*
 * mail_date.c - the date of a header.
 *
 * Not strftime: its names follow the locale, and it takes 3.5 KiB of stack. localtime_r reads the
 * zone file once; whoever goes into a chroot calls tzset() before.
 */
#include "common/mail/header.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { DATE_SIZE = 64, ZONE_NAME_LIMIT = 16 };

static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep",
	"Oct", "Nov", "Dec" };

const char *mail_date(char out[64], int64_t wall_us)
{
	int64_t seconds = wall_us / 1000000 - (wall_us % 1000000 < 0);
	time_t when = (time_t)seconds;
	struct tm t = { 0 };
	int minutes;

	if (localtime_r(&when, &t) == NULL) { /* a year that no int holds */
		when = 0;
		localtime_r(&when, &t);
	}
	minutes = abs((int)(t.tm_gmtoff / 60)) % 6000;
	snprintf(out, DATE_SIZE, "%s, %d %s %d %02d:%02d:%02d %c%02d%02d (%.*s)",
	    days[t.tm_wday % 7], t.tm_mday, months[t.tm_mon % 12], t.tm_year + 1900, t.tm_hour,
	    t.tm_min, t.tm_sec, t.tm_gmtoff < 0 ? '-' : '+', minutes / 60, minutes % 60,
	    ZONE_NAME_LIMIT, t.tm_zone == NULL ? "" : t.tm_zone);
	return out;
}
