/* SPDX-License-Identifier: ISC */
/*
 * postmap_main.c - makes and asks lookup tables.
 */
#include "admin/table_command.h"

int main(int argc, char **argv)
{
	return table_command("postmap", TABLE_MAP, argc, argv);
}
