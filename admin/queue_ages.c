/* SPDX-License-Identifier: ISC */
/*
 * queue_ages.c - a tree of domains with a row of counts for each; a hash would be for strangers to fill.
 */
#include "admin/queue_ages.h"

#include <inttypes.h>
#include <stdlib.h>

#include <bsd/sys/tree.h>

#include "admin/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"

enum {
	ROWS_MOST = 100000,
	DOMAIN_MOST = 255,
	PARENTS_MOST = 8, /* levels */
	CHILDREN_LEAST = 5,
	LINE_WIDTH = 80,
	DOMAIN_WIDTH_LEAST = 20
};

struct row {
	RB_ENTRY(row) node;
	const char *domain; /* behind the counts; of a parent with a dot in front */
	uint64_t total;
	uint32_t children; /* of a parent: domains below it */
	uint64_t counts[]; /* as many as buckets */
};

static int compare_domains(const struct row *a, const struct row *b)
{
	return strcmp(a->domain, b->domain);
}

RB_HEAD(row_tree, row);
RB_GENERATE_INTERNAL(row_tree, row, node, compare_domains, __attribute__((unused)) static)

struct queue_ages {
	struct ages_options options;
	struct queue_sink sink;
	struct row_tree rows;
	size_t row_count;
	struct row *all, *others;
	unsigned bucket; /* of the message at hand */
};

/* --- rows ----------------------------------------------------------------------------------------- */

static struct row *row_new(const struct queue_ages *a, const char *domain)
{
	size_t counts = a->options.buckets * sizeof(uint64_t), len = strlen(domain);
	struct row *r = mem_alloc(sizeof(*r) + counts + len + 1);
	char *text = (char *)r->counts + counts;

	memcpy(text, domain, len);
	r->domain = text;
	return r;
}

static bool is_parent(const struct row *r)
{
	return r->domain[0] == '.';
}

/* The row of the domain, or NULL when there is no room for one more. */
static struct row *find_or_add(struct queue_ages *a, const char *domain, bool *is_new)
{
	struct row key = { .domain = domain };
	struct row *r = RB_FIND(row_tree, &a->rows, &key);

	*is_new = r == NULL;
	if (r != NULL || a->row_count >= ROWS_MOST)
		return r;
	r = row_new(a, domain);
	RB_INSERT(row_tree, &a->rows, r);
	a->row_count++;
	return r;
}

static void count(const struct queue_ages *a, struct row *r)
{
	r->total++;
	r->counts[a->bucket]++;
}

static void count_parents(struct queue_ages *a, const char *domain, bool is_new)
{
	const char *dot = strchr(domain, '.');

	for (int level = 0; dot != NULL && dot[1] != '\0' && level < PARENTS_MOST; level++) {
		bool is_new_parent;
		struct row *r = find_or_add(a, dot, &is_new_parent);

		if (r == NULL)
			return;
		count(a, r);
		r->children += is_new;
		dot = strchr(dot + 1, '.');
	}
}

static void count_address(struct queue_ages *a, struct slice address)
{
	ptrdiff_t at = slice_find_last(address, '@');
	struct slice domain = slice_part(address, (size_t)(at + 1), address.len);
	char text[DOMAIN_MOST + 1] = "";
	bool is_new = false;
	struct row *r = NULL;

	if (at == -1)
		domain = slice_equal(address, SLICE("MAILER-DAEMON")) ? address
								      : SLICE("(no domain)");
	count(a, a->all);
	if (domain.len > 0 && domain.len <= DOMAIN_MOST && domain.data[0] != '.') {
		memcpy(text, domain.data, domain.len);
		if (at != -1)
			text_lower(text, domain.len);
		r = find_or_add(a, text, &is_new);
	}
	count(a, r == NULL ? a->others : r);
	if (r != NULL && at != -1 && text[0] != '[' && a->options.parents)
		count_parents(a, text, is_new);
}

/* --- the list ------------------------------------------------------------------------------------- */

/* Of the bucket, in minutes; the last one has none. */
static uint64_t end_of(const struct ages_options *o, unsigned bucket)
{
	return o->linear ? o->minutes * (bucket + 1) : o->minutes << bucket;
}

static void on_message(void *arg, const struct queue_head *m)
{
	struct queue_ages *a = arg;
	int64_t age = a->options.now - m->arrival;
	uint64_t minutes = age < 0 ? 0 : (uint64_t)age / 60;

	a->bucket = 0;
	while (a->bucket < a->options.buckets - 1 && minutes >= end_of(&a->options, a->bucket))
		a->bucket++;
	if (a->options.senders)
		count_address(a, m->sender);
}

static void on_rcpt(void *arg, const struct queue_rcpt *r)
{
	struct queue_ages *a = arg;

	if (!a->options.senders)
		count_address(a, r->address);
}

static void on_end(void *arg)
{
	(void)arg;
}

struct queue_ages *queue_ages_new(const struct ages_options *options)
{
	struct queue_ages *a = mem_alloc(sizeof(*a));

	a->options = *options;
	a->sink = (struct queue_sink){ a, on_message, on_rcpt, on_end };
	RB_INIT(&a->rows);
	a->all = row_new(a, "TOTAL");
	a->others = row_new(a, "others");
	return a;
}

const struct queue_sink *queue_ages_sink(struct queue_ages *a)
{
	return &a->sink;
}

void queue_ages_free(struct queue_ages *a)
{
	struct row *r;

	while ((r = RB_MIN(row_tree, &a->rows)) != NULL) {
		RB_REMOVE(row_tree, &a->rows, r);
		free(r);
	}
	free(a->all);
	free(a->others);
	free(a);
}

/* --- printing ------------------------------------------------------------------------------------- */

static int most_first(const void *left, const void *right)
{
	const struct row *a = *(const struct row *const *)left;
	const struct row *b = *(const struct row *const *)right;

	if (a->total != b->total)
		return a->total > b->total ? -1 : 1;
	return strcmp(a->domain, b->domain);
}

static void add_to_others(struct queue_ages *a, const struct row *r)
{
	a->others->total += r->total;
	for (unsigned i = 0; i < a->options.buckets; i++)
		a->others->counts[i] += r->counts[i];
}

/* The rows that are shown, in their order; what is behind the top ones joins the others. */
static struct row **rows_shown(struct queue_ages *a, size_t *shown)
{
	struct row **rows = mem_alloc_array(a->row_count + 1, sizeof(*rows)), *r;
	size_t n = 0;

	RB_FOREACH(r, row_tree, &a->rows)
		if (!is_parent(r) || r->children >= CHILDREN_LEAST)
			rows[n++] = r;
	qsort(rows, n, sizeof(*rows), most_first);
	*shown = a->options.top == 0 || a->options.top > n ? n : a->options.top;
	for (size_t i = *shown; i < n; i++)
		if (!is_parent(rows[i]))
			add_to_others(a, rows[i]);
	return rows;
}

static void bucket_name(const struct queue_ages *a, unsigned bucket, char out[32])
{
	unsigned last = a->options.buckets - 1;

	if (bucket < last)
		snprintf(out, 32, "%" PRIu64, end_of(&a->options, bucket));
	else
		snprintf(out, 32, "%" PRIu64 "+", end_of(&a->options, last - 1));
}

/* No row has more in a bucket than all together. */
static int width_of(const char *name, uint64_t most)
{
	int number = snprintf(NULL, 0, "%" PRIu64, most), title = (int)strlen(name);

	return 1 + (number > title ? number : title);
}

static void print_text(struct queue_ages *a, struct row **rows, size_t shown, FILE *out)
{
	int widths[AGES_BUCKETS_MOST], total = width_of("T", a->all->total),
				       domain = LINE_WIDTH - total;
	char name[32];

	for (unsigned i = 0; i < a->options.buckets; i++) {
		bucket_name(a, i, name);
		widths[i] = width_of(name, a->all->counts[i]);
		domain -= widths[i];
	}
	domain = domain < DOMAIN_WIDTH_LEAST ? DOMAIN_WIDTH_LEAST : domain;
	fprintf(out, "%*s%*s", domain, "", total, "T");
	for (unsigned i = 0; i < a->options.buckets; i++) {
		bucket_name(a, i, name);
		fprintf(out, "%*s", widths[i], name);
	}
	for (size_t at = 0; at < shown + 2; at++) {
		const struct row *r = at == 0 ? a->all : at <= shown ? rows[at - 1] : a->others;

		if (r == a->others && r->total == 0)
			break;
		fprintf(out, "\n%*s%*" PRIu64, domain, r->domain, total, r->total);
		for (unsigned i = 0; i < a->options.buckets; i++)
			fprintf(out, "%*" PRIu64, widths[i], r->counts[i]);
	}
	putc('\n', out);
}

static void print_object(const struct queue_ages *a, const struct row *r, FILE *out)
{
	const char *kind = r == a->all ? "total" : r == a->others ? "others" : "domain";
	char name[32];

	json_member(out, "{", "row", slice_of(kind));
	if (r != a->all && r != a->others)
		json_member(out, ", ", "domain", slice_of(r->domain));
	fprintf(out, ", \"total\": %" PRIu64 ", \"minutes\": {", r->total);
	for (unsigned i = 0; i < a->options.buckets; i++) {
		bucket_name(a, i, name);
		fprintf(out, "%s\"%s\": %" PRIu64, i == 0 ? "" : ", ", name, r->counts[i]);
	}
	fputs("}}\n", out);
}

void queue_ages_print(struct queue_ages *a, enum queue_form form, FILE *out)
{
	size_t shown;
	struct row **rows = rows_shown(a, &shown);

	if (form == QUEUE_TEXT) {
		print_text(a, rows, shown, out);
	} else {
		print_object(a, a->all, out);
		for (size_t i = 0; i < shown; i++)
			print_object(a, rows[i], out);
		if (a->others->total > 0)
			print_object(a, a->others, out);
	}
	free(rows);
}
