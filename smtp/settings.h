/* SPDX-License-Identifier: ISC */
#ifndef GP_SETTINGS_H
#define GP_SETTINGS_H

#include "common/conf/conf.h"

/* Both fill the settings of smtp.h. */
extern const struct conf_setting smtp_settings[], lmtp_settings[];

#endif
