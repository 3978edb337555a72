/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as main.cf, as master.cf and as both: no crash; what passed the checks can be read by
 * every service, and what an entry overrides can be set; what master takes, postconf can show, and it
 * reads as what it was.
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

/* The rows as postconf -Mf and -M show them. */
static void show_all(const struct master_text *text, bool fold, struct buf *out)
{
	for (size_t i = 0; i < text->count; i++) {
		master_row_put(&text->rows[i], fold, out);
		buf_putc(out, '\n');
	}
}

static void show_rows(struct slice master_cf, bool is_good)
{
	struct reporter reporter = { 0 };
	struct master_text *text = master_text_parse(master_cf, "/etc", &reporter), *again;
	struct buf folded = { 0 }, plain = { 0 }, plain_again = { 0 };

	if (text == NULL) {
		if (is_good)
			abort();
		return;
	}
	show_all(text, true, &folded);
	show_all(text, false, &plain);
	again = master_text_parse(buf_slice(&folded), "/etc", &reporter);
	if (again == NULL)
		abort();
	show_all(again, false, &plain_again);
	if (!slice_equal(buf_slice(&plain), buf_slice(&plain_again)))
		abort();
	buf_clear(&folded);
	buf_clear(&plain);
	buf_clear(&plain_again);
	master_text_free(text);
	master_text_free(again);
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
	show_rows(master_cf, cf != NULL);
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
