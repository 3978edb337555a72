/* SPDX-License-Identifier: ISC */
#ifndef GP_VERSION_H
#define GP_VERSION_H

#define GATEPOST_VERSION "0.1"

#endif
