/* SPDX-License-Identifier: ISC */
/*
 * addresses.h - what rewrite knows of addresses that aliases and .forward files name.
 */
#ifndef GP_ADDRESSES_H
#define GP_ADDRESSES_H

#include "local/expand.h"

/* "name" becomes "name@$myorigin", in place. False: try later, the verdict is set. Waits. */
bool address_complete(struct arena *, struct slice *address, struct verdict *);
/* As expand_sources.judge. Waits. */
bool addresses_judge(struct arena *, const struct msg_deliver *, struct judged *const *items,
    size_t count, struct verdict *);

#endif
