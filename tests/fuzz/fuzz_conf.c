/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as main.cf, as master.cf and as both: no crash; what passed the checks can be read by
 * every service, and what an entry overrides can be set.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/conf/internal.h"
#include "common/conf/master_cf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct conf *conf)
{
	for (size_t i = 0; i < parameters_count; i++) {
		switch (parameters[i].kind) {
		case KIND_BOOL:
			conf_bool(conf, parameters[i].name);
			break;
		case KIND_NUMBER:
			conf_number(conf, parameters[i].name);
			break;
		case KIND_TIME:
			conf_time(conf, parameters[i].name);
			break;
		default:
			if (conf_text(conf, parameters[i].name) == NULL)
				abort();
		}
	}
}

static void override_all(struct conf *conf, const struct master_cf *cf)
{
	for (size_t i = 0; i < cf->count; i++)
		for (size_t k = 0; k < cf->entries[i].overrides_count; k++)
			if (!conf_override(conf, cf->entries[i].overrides[k], cf->entries[i].file,
				cf->entries[i].line, NULL, NULL))
				abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice both = slice_new(data, size), main_cf = both, master_cf = both, rest = both,
		     item;
	ptrdiff_t end = slice_find(both, '\f');
	struct reporter reporter = { 0 };
	struct master_cf *cf;
	struct conf *conf;

	if (end != -1) {
		main_cf = slice_part(both, 0, (size_t)end);
		master_cf = slice_part(both, (size_t)end + 1, size);
	}
	while (conf_next_item(&rest, &item))
		;
	conf = conf_parse(main_cf, "/etc", &reporter);
	cf = master_cf_parse(master_cf, "/etc", &reporter);
	if (conf != NULL && cf != NULL)
		master_cf_check(cf, conf, NULL, NULL);
	if (conf != NULL) {
		conf_check(conf, NULL, NULL);
		read_all(conf);
	}
	if (conf != NULL && cf != NULL) {
		override_all(conf, cf);
		read_all(conf);
	}
	master_cf_free(cf);
	conf_free(conf);
	return 0;
}
