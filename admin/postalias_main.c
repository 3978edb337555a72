/* SPDX-License-Identifier: ISC */
/*
 * postalias_main.c - makes and asks alias tables.
 */
#include "admin/table_command.h"

int main(int argc, char **argv)
{
	return table_command("postalias", TABLE_ALIASES, argc, argv);
}
