/* SPDX-License-Identifier: ISC */
/*
 * notify.h - tells the init system that started us how we are (sd_notify(3): one datagram for each
 * state). Without NOTIFY_SOCKET in the environment there is nobody to tell, and nothing happens.
 */
#ifndef GP_MASTER_NOTIFY_H
#define GP_MASTER_NOTIFY_H

/* Before the environment is cleaned and after descriptors were closed. */
void notify_open(void);
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);

#endif
