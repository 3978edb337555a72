/* SPDX-License-Identifier: ISC */
/*
 * policy.c - how a transport is to be used, as main.cf says for it or for all: limits, feedback, slots, pauses.
 */
#include "qmgr/qmgr.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/text.h"
#include "common/log/log.h"
#include "common/service/service.h"

enum { MANY = 100000 };

static unsigned limit_of(const char *name, const char *suffix)
{
	int64_t value = conf_number_for(service_conf(), name, suffix);

	return value <= 0 || value > MANY ? MANY : (unsigned)value;
}

/* "1", "0.5", "1/8", "1/concurrency", "1 / sqrt_concurrency": a share of the concurrency that is in [0, 1]. */
bool policy_parse_feedback(const char *text, struct feedback *out)
{
	char *end;

	*out = (struct feedback){ .value = strtod(text, &end) };
	if (end == text)
		return false;
	end += strspn(end, " \t");
	if (*end == '/') {
		struct slice divisor = slice_trim(slice_of(end + 1));
		char *rest;

		if (slice_equal(divisor, SLICE("concurrency"))) {
			out->per = PER_CONCURRENCY;
		} else if (slice_equal(divisor, SLICE("sqrt_concurrency"))) {
			out->per = PER_ROOT;
		} else {
			out->value /= strtod(divisor.data, &rest);
			if (rest != divisor.data + divisor.len)
				return false;
		}
	} else if (*end != '\0') {
		return false;
	}
	return out->value >= 0 && out->value <= 1;
}

double policy_feedback(const struct feedback *f, double concurrency)
{
	if (concurrency < 1)
		concurrency = 1;
	switch (f->per) {
	case PER_CONCURRENCY:
		return f->value / concurrency;
	case PER_ROOT:
		return f->value / sqrt(concurrency);
	case PER_NOTHING:
		break;
	}
	return f->value;
}

static struct feedback feedback_of(const char *name, const char *suffix)
{
	const char *text = conf_text_for(service_conf(), name, suffix);
	struct feedback f;

	if (policy_parse_feedback(text, &f))
		return f;
	log_warning("%s_%s: \"%s\" is no number from 0 to 1, alone or divided by \"concurrency\" "
		    "or "
		    "\"sqrt_concurrency\"; 1 is used",
	    name, suffix, text);
	return (struct feedback){ .value = 1 };
}

void policy_read(struct policy *p, const char *name)
{
	struct conf *conf = service_conf();

	*p = (struct policy){
		.destination_limit = limit_of(name, "destination_concurrency_limit"),
		.recipient_limit = limit_of(name, "destination_recipient_limit"),
		.initial = limit_of(name, "initial_destination_concurrency"),
		.positive = feedback_of(name, "destination_concurrency_positive_feedback"),
		.negative = feedback_of(name, "destination_concurrency_negative_feedback"),
		.cohort_limit = (unsigned)conf_number_for(conf, name,
		    "destination_concurrency_failed_cohort_limit"),
		.slot_cost = (unsigned)conf_number_for(conf, name, "delivery_slot_cost"),
		.slot_loan = (unsigned)conf_number_for(conf, name, "delivery_slot_loan"),
		.slot_discount = (unsigned)conf_number_for(conf, name, "delivery_slot_discount"),
		.slots_least = (unsigned)conf_number_for(conf, name, "minimum_delivery_slots"),
		.destination_delay = conf_time_for(conf, name, "destination_rate_delay"),
		.transport_delay = conf_time_for(conf, name, "transport_rate_delay"),
	};
	if (p->recipient_limit > RCPTS_PER_FRAME)
		p->recipient_limit = RCPTS_PER_FRAME;
	/* A pause is between two deliveries. */
	if (p->destination_delay > 0)
		p->destination_limit = 1;
	if (p->initial > p->destination_limit)
		p->initial = p->destination_limit;
}
