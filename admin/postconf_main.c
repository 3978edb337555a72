/* SPDX-License-Identifier: ISC */
/*
 * postconf_main.c - shows and changes main.cf and master.cf: the command line.
 *
 * Other programs read what it prints: "name = value", and "name =" for an empty value.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/postconf.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/dict/dict.h"

static const char usage[] =
    "postconf [-dfhHjnpqx] [-c config_dir] [-C class,...] [-o name=value] [name...]\n"
    "       postconf [-ep] [-c config_dir] name=value...\n"
    "       postconf -X|-# [-p] [-c config_dir] name...\n"
    "       postconf -M [-fjqx] [-c config_dir] [-o name=value] [service[/type]...]\n"
    "       postconf -M [-e] [-c config_dir] service/type=value...\n"
    "       postconf -M -X|-# [-c config_dir] service/type...\n"
    "       postconf -F [-fhHjqx] [-c config_dir] [-o name=value] [service[/type[/field]]...]\n"
    "       postconf -F [-e] [-c config_dir] service/type/field=value...\n"
    "       postconf -P [-fhHjqx] [-c config_dir] [-o name=value] [service[/type[/name]]...]\n"
    "       postconf -P [-e] [-c config_dir] service/type/name=value...\n"
    "       postconf -P -X [-c config_dir] service/type/name...\n"
    "       postconf -b|-t [-c config_dir] [-o name=value] [template_file]\n"
    "       postconf -a|-A|-l|-m\n"
    "  -p  main.cf (if nothing else is said)\n"
    "  -M  rows of master.cf\n"
    "  -F  single columns of master.cf\n"
    "  -P  the -o values of master.cf\n"
    "  -e  change (may be left out when there is a =)\n"
    "  -X  remove\n"
    "  -#  make a comment\n"
    "  -d  show defaults instead of what main.cf says\n"
    "  -n  show only what main.cf sets\n"
    "  -C  show only names of these classes: builtin, service, user, all\n"
    "  -x  expand $names in values\n"
    "  -o  show what this setting would do\n"
    "  -h  show values without names\n"
    "  -H  show names without values\n"
    "  -f  fold long lines\n"
    "  -j  show one JSON object a line\n"
    "  -q  no warnings\n"
    "  -b  show the words of notices\n"
    "  -t  show the templates of notices\n"
    "  -a  list what AUTH of the server can use\n"
    "  -A  list what AUTH of the client can use\n"
    "  -l  list the ways to lock a mailbox\n"
    "  -m  list the types of lookup tables\n"
    "  -c  the directory of main.cf and master.cf\n";

/* --- lists ---------------------------------------------------------------------------------------- */

static int compare_words(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void show_types(const struct postconf *c)
{
	const char **sorted;
	size_t count = 0;

	(void)c;
	while (dict_types()[count] != NULL)
		count++;
	sorted = mem_alloc_array(count, sizeof(*sorted));
	memcpy(sorted, dict_types(), count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), compare_words);
	for (size_t i = 0; i < count; i++)
		puts(sorted[i]);
	free(sorted);
}

static void show_locks(const struct postconf *c)
{
	(void)c;
	puts("flock\nfcntl\ndotlock");
}

/* There is no AUTH yet, so the list is empty, as that of a Postfix without it. */
static void show_auth(const struct postconf *c)
{
	(void)c;
}

/* --- the command line ----------------------------------------------------------------------------- */

enum needs { NEEDS_NOTHING, NEEDS_NO_NAMES, NEEDS_NAMES };

static const struct {
	char object, action;
	const char *also; /* options that have a meaning with these; -c has with all */
	enum needs needs;
	void (*run)(const struct postconf *);
} forms[] = {
	{ 'p', 0, "pdfhHjnqxCo", NEEDS_NOTHING, postconf_show_main_cf },
	{ 'p', 'e', "p", NEEDS_NAMES, postconf_edit_main_cf },
	{ 'p', 'X', "p", NEEDS_NAMES, postconf_drop_main_cf },
	{ 'p', '#', "p", NEEDS_NAMES, postconf_drop_main_cf },
	{ 'M', 0, "fjqxo", NEEDS_NOTHING, postconf_show_master_cf },
	{ 'M', 'e', "", NEEDS_NAMES, postconf_change_master_cf },
	{ 'M', 'X', "", NEEDS_NAMES, postconf_change_master_cf },
	{ 'M', '#', "", NEEDS_NAMES, postconf_change_master_cf },
	{ 'F', 0, "fhHjqxo", NEEDS_NOTHING, postconf_show_master_cf },
	{ 'F', 'e', "", NEEDS_NAMES, postconf_change_master_cf },
	{ 'P', 0, "fhHjqxo", NEEDS_NOTHING, postconf_show_master_cf },
	{ 'P', 'e', "", NEEDS_NAMES, postconf_change_master_cf },
	{ 'P', 'X', "", NEEDS_NAMES, postconf_change_master_cf },
	{ 'a', 0, "", NEEDS_NO_NAMES, show_auth },
	{ 'A', 0, "", NEEDS_NO_NAMES, show_auth },
	{ 'b', 0, "oq", NEEDS_NOTHING, postconf_show_words },
	{ 't', 0, "oq", NEEDS_NOTHING, postconf_show_templates },
	{ 'l', 0, "", NEEDS_NO_NAMES, show_locks },
	{ 'm', 0, "", NEEDS_NO_NAMES, show_types },
};

static _Noreturn void refuse(const char *format, char a, char b)
{
	char text[80];

	snprintf(text, sizeof(text), format, a, b);
	command_usage(text);
}

static void choose(char *choice, char option)
{
	if (*choice != 0 && *choice != option)
		refuse("specify one of -%c -%c", *choice, option);
	*choice = option;
}

static void read_classes(struct postconf *c, const char *text)
{
	static const struct {
		const char *word;
		unsigned class;
	} classes[] = { { "builtin", CLASS_BUILTIN }, { "service", CLASS_SERVICE },
		{ "user", CLASS_USER }, { "all", CLASS_BUILTIN | CLASS_SERVICE | CLASS_USER } };
	struct slice rest = slice_of(text), word;

	while (text_next_word(&rest, ", \t", &word)) {
		unsigned found = 0;

		for (size_t i = 0; i < ARRAY_LENGTH(classes); i++)
			if (slice_equal(word, slice_of(classes[i].word)))
				found = classes[i].class;
		if (found == 0)
			command_usage("-C knows builtin, service, user and all");
		c->classes |= found;
	}
}

static void take_option(struct postconf *c, char option)
{
	switch (option) {
	case 'c':
		c->config = optarg;
		return;
	case 'C':
		read_classes(c, optarg);
		return;
	case 'o':
		if (c->overrides_count == POSTCONF_OVERRIDES_MOST)
			command_usage("too many -o");
		c->overrides[c->overrides_count++] = optarg;
		return;
	case '#':
	case 'X':
	case 'e':
		choose(&c->action, option);
		return;
	case 'A':
	case 'F':
	case 'M':
	case 'P':
	case 'a':
	case 'b':
	case 'l':
	case 'm':
	case 'p':
	case 't':
		choose(&c->object, option);
		return;
	case '?':
		command_usage("TLS (-T) and -v are not part of this version");
	}
}

/* given: which options there were. */
static void parse_options(struct postconf *c, int argc, char **argv, bool given[128])
{
	int option;

	while ((option = getopt(argc, argv, "#AC:FHMPXabc:defhjlmno:pqtx")) != -1) {
		take_option(c, (char)option);
		given[option] = true;
	}
	c->defaults = given['d'];
	c->explicit = given['n'];
	c->expand = given['x'];
	c->only_values = given['h'];
	c->only_names = given['H'];
	c->fold = given['f'];
	c->json = given['j'];
	c->quiet = given['q'];
	c->names = argv + optind;
	c->names_count = (size_t)(argc - optind);
	if (c->object == 0)
		c->object = 'p';
	/* name=value is a change; where it stands does not matter. */
	for (size_t i = 0; i < c->names_count; i++)
		if (strchr(c->names[i], '=') != NULL)
			choose(&c->action, 'e');
}

static void check_options(const bool given[128], const char *also, char object, char action)
{
	static const char *const pairs[] = { "dn", "hH", "hj", "Hj", "fj" };

	for (size_t i = 0; i < ARRAY_LENGTH(pairs); i++)
		if (given[(int)pairs[i][0]] && given[(int)pairs[i][1]])
			refuse("specify one of -%c -%c", pairs[i][0], pairs[i][1]);
	for (char option = '!'; option < 127; option++)
		if (given[(int)option] && option != 'c' && option != object && option != action &&
		    strchr(also, option) == NULL)
			refuse("with option -%c, do not specify -%c",
			    object == 'p' && action != 0 ? action : object, option);
}

int main(int argc, char **argv)
{
	struct postconf c = { 0 };
	bool given[128] = { false };

	command_start("postconf", usage, argc, argv);
	parse_options(&c, argc, argv, given);
	for (size_t i = 0; i < ARRAY_LENGTH(forms); i++) {
		if (forms[i].object != c.object || forms[i].action != c.action)
			continue;
		check_options(given, forms[i].also, c.object, c.action);
		if (forms[i].needs == NEEDS_NAMES && c.names_count == 0)
			command_usage(c.action == 'e' ? "-e requires name=value argument"
						      : "-X and -# require a name");
		if (forms[i].needs == NEEDS_NO_NAMES && c.names_count > 0)
			command_usage("a list takes no names");
		forms[i].run(&c);
		if (fflush(stdout) != 0)
			command_fail(1, "write error: %s", strerror(errno));
		return 0;
	}
	refuse("-%c goes with no -%c", c.object, c.action);
}
