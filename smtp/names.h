/* SPDX-License-Identifier: ISC */
#ifndef GP_NAMES_H
#define GP_NAMES_H

#include "smtp/route.h"

/* A route_lookup that asks the resolver. The answer's texts are in the arena. Waits. */
void names_lookup(struct slice name, enum dns_type, struct arena *, struct msg_dns_answer *);

#endif
