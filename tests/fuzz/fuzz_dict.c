/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as the name of a table, as a list, and as a key: no crash, no result of its own making.
 * What opens files is left out.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/dict/dict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const types[] = { "regexp", "pcre", "cidr", "texthash", "inline", "static" };

static void check_table(const char *type, const char *text, struct slice key)
{
	char *name = mem_printf("%s:{%s}", type, text), *why = NULL;
	struct dict *d = dict_open(AT_FDCWD, name, DICT_FOLD_KEY, &why);
	struct buf value = { 0 };

	if (d != NULL && dict_lookup(d, key, &value) != 1 && value.len != 0)
		abort();
	dict_close(d);
	buf_clear(&value);
	free(why);
	free(name);
}

static void check_list(const char *text, struct slice key)
{
	for (int kind = MATCH_STRING; kind <= MATCH_NETWORK; kind++) {
		char *why = NULL;
		struct match_list *l = strpbrk(text, "/:") != NULL
		    ? NULL
		    : match_list_open(AT_FDCWD, text, (enum match_kind)kind, kind & 1, &why);

		if (l != NULL)
			match_list_has(l, key);
		match_list_close(l);
		free(why);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice input = slice_new(data, size), key, extension;
	struct buf value = { 0 };
	struct dict_maps *maps;
	char *text, *why = NULL;

	if (size < 2)
		return 0;
	key = slice_part(input, 1, data[0] % size);
	text = slice_dup(slice_part(input, 1 + key.len, size));
	check_table(types[data[0] % ARRAY_LENGTH(types)], text, key);
	check_list(text, key);
	maps = dict_maps_open(AT_FDCWD, "inline:{a=b}", DICT_FOLD_KEY, NULL, NULL, &why);
	dict_maps_lookup_address(maps, key, text, data[0] & 1, &value, &extension);
	dict_maps_close(maps);
	buf_clear(&value);
	free(text);
	return 0;
}
