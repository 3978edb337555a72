/* SPDX-License-Identifier: ISC */
/*
 * resolver_files.c - what the resolver reads before its sandbox: name servers, trust anchors, hosts.
 *
 * The files are the administrator's, but programs write them (DHCP clients, container engines): a line
 * that makes no sense is skipped.
 */
#include "support/resolver.h"

#include <bsd/stdlib.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/log/log.h"
#include "common/net/address.h"

#define RESOLV_CONF   "/etc/resolv.conf"
#define HOSTS	      "/etc/hosts"
#define DEBIAN_ANCHOR "/usr/share/dns/root.key"
#define BLANKS	      " \t\r"

enum {
	FILE_LIMIT = 8 << 20,
	SERVERS_LIMIT = 16,
	ANCHORS_LIMIT = 64,
	ANCHOR_LIMIT = 4096, /* bytes of a record */
	HOSTS_TTL = 0	     /* the file may change at any time */
};

static void add_text(char ***list, size_t *count, struct slice text)
{
	*list = mem_resize_array(*list, *count + 1, sizeof(**list));
	(*list)[(*count)++] = slice_dup(text);
}

/* Without a comment, which begins with one of these bytes. */
static struct slice without_comment(struct slice line, const char *marks)
{
	for (size_t i = 0; i < line.len; i++)
		if (line.data[i] == '\0' || strchr(marks, line.data[i]) != NULL)
			return slice_part(line, 0, i);
	return line;
}

bool resolver_server_is_good(struct slice text)
{
	ptrdiff_t at = slice_find(text, '@');
	struct net_address address;
	uint64_t port;

	if (at == -1)
		return net_address_parse(text, &address);
	return net_address_parse(slice_part(text, 0, (size_t)at), &address) &&
	    text_number(slice_part(text, (size_t)at + 1, text.len), UINT16_MAX, &port) && port > 0;
}

void resolver_read_nameservers(struct slice content, struct resolver_files *f)
{
	struct slice line, word, rest;

	while (text_next_word(&content, "\n", &line)) {
		rest = without_comment(line, "#;");
		if (!text_next_word(&rest, BLANKS, &word) ||
		    !slice_equal(word, SLICE("nameserver")) ||
		    !text_next_word(&rest, BLANKS, &word) || f->servers_count == SERVERS_LIMIT)
			continue;
		if (resolver_server_is_good(word))
			add_text(&f->servers, &f->servers_count, word);
		else
			log_warning(RESOLV_CONF ": name server %.*s is skipped: no address that "
						"can be used",
			    (int)word.len, word.data);
	}
}

static int family_of(struct slice text)
{
	struct net_address address;

	return net_address_parse(text, &address) ? address.family : AF_UNSPEC;
}

static int by_name(const void *left, const void *right)
{
	const struct resolver_host *a = left, *b = right;

	return strcmp(a->name, b->name);
}

void resolver_read_hosts(struct slice content, struct resolver_files *f)
{
	size_t room = 0;
	struct slice line, address, rest, word;
	int family;

	while (text_next_word(&content, "\n", &line)) {
		rest = without_comment(line, "#");
		if (!text_next_word(&rest, BLANKS, &address) ||
		    (family = family_of(address)) == AF_UNSPEC)
			continue;
		while (text_next_word(&rest, BLANKS, &word)) {
			char *name = slice_dup(word);

			if (f->hosts_count == room) {
				room = room == 0 ? 16 : 2 * room;
				f->hosts = mem_resize_array(f->hosts, room, sizeof(*f->hosts));
			}
			text_lower(name, word.len);
			f->hosts[f->hosts_count++] = (struct resolver_host){ name,
				slice_dup(address), family };
		}
	}
	/* Equal names keep their order. */
	if (f->hosts_count > 1 &&
	    mergesort(f->hosts, f->hosts_count, sizeof(*f->hosts), by_name) == -1)
		panic("no memory to sort hosts");
}

void resolver_read_anchors(struct slice content, struct resolver_files *f)
{
	struct slice line;

	while (text_next_word(&content, "\n", &line)) {
		line = slice_trim(without_comment(line, ";"));
		if (line.len > 0 && line.len < ANCHOR_LIMIT && f->anchors_count < ANCHORS_LIMIT)
			add_text(&f->anchors, &f->anchors_count, line);
	}
}

static void start_watching(struct resolver_watch *w, const char *path)
{
	w->path = path;
	w->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (w->fd != -1 && fstat(w->fd, &w->then) == -1) {
		close(w->fd);
		w->fd = -1;
	}
}

static bool has_changed(const struct resolver_watch *w)
{
	struct stat now;

	if (w->fd == -1)
		return false;
	return fstat(w->fd, &now) == -1 || now.st_nlink == 0 || now.st_size != w->then.st_size ||
	    now.st_mtim.tv_sec != w->then.st_mtim.tv_sec ||
	    now.st_mtim.tv_nsec != w->then.st_mtim.tv_nsec;
}

const char *resolver_files_changed(struct resolver_files *f)
{
	if (has_changed(&f->resolv_conf))
		return f->resolv_conf.path;
	return has_changed(&f->hosts_file) ? f->hosts_file.path : NULL;
}

/* Watched first: what changes while it is read is noticed. */
static void read_watched(struct resolver_watch *w, const char *path, struct resolver_files *f,
    void (*read_content)(struct slice, struct resolver_files *))
{
	struct buf content = { 0 };

	start_watching(w, path);
	if (w->fd == -1 || io_read_all(w->fd, FILE_LIMIT, &content) == -1)
		log_warning("%s: %m", path);
	else
		read_content(buf_slice(&content), f);
	buf_clear(&content);
}

static void read_servers(struct resolver_files *f, const char *servers)
{
	struct slice rest = slice_of(servers), item;

	f->resolv_conf.fd = -1;
	while (text_next_item(&rest, &item)) {
		if (!resolver_server_is_good(item) || f->servers_count == SERVERS_LIMIT)
			log_fatal("resolver_servers: %.*s: expected ADDRESS or ADDRESS@PORT, at "
				  "most %d of them",
			    (int)item.len, item.data, SERVERS_LIMIT);
		add_text(&f->servers, &f->servers_count, item);
	}
	if (f->servers_count == 0)
		read_watched(&f->resolv_conf, RESOLV_CONF, f, resolver_read_nameservers);
	/* As glibc does. */
	if (f->servers_count == 0)
		add_text(&f->servers, &f->servers_count, SLICE("127.0.0.1"));
}

static void read_anchor_file(struct resolver_files *f, const char *path)
{
	bool is_default = *path == '\0';
	struct buf content = { 0 };

	if (is_default)
		path = DEBIAN_ANCHOR;
	if (io_read_file(AT_FDCWD, path, FILE_LIMIT, &content) == -1) {
		if (!is_default)
			log_fatal("resolver_trust_anchor_file: %s: %m", path);
	} else {
		resolver_read_anchors(buf_slice(&content), f);
		if (f->anchors_count == 0)
			log_fatal("%s: no trust anchor is in it", path);
	}
	buf_clear(&content);
}

void resolver_files_open(struct resolver_files *f, const char *servers, const char *anchor_file)
{
	*f = (struct resolver_files){ 0 };
	read_servers(f, servers);
	read_anchor_file(f, anchor_file);
	read_watched(&f->hosts_file, HOSTS, f, resolver_read_hosts);
}

static void clear_texts(char **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i]);
	free(list);
}

void resolver_files_clear(struct resolver_files *f)
{
	clear_texts(f->servers, f->servers_count);
	clear_texts(f->anchors, f->anchors_count);
	for (size_t i = 0; i < f->hosts_count; i++) {
		free(f->hosts[i].name);
		free(f->hosts[i].address);
	}
	free(f->hosts);
	*f = (struct resolver_files){ 0 };
}

/* The first of that name; hosts_count when there is none. */
static size_t first_of(const struct resolver_files *f, const char *name)
{
	size_t low = 0, high = f->hosts_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(f->hosts[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool resolver_files_find(const struct resolver_files *f, struct slice name, enum dns_type type,
    struct arena *arena, struct msg_dns_answer *answer)
{
	char *wanted = arena_text(arena, name);
	int family = type == DNS_A ? AF_INET : AF_INET6;
	size_t first;

	if (type != DNS_A && type != DNS_AAAA)
		return false;
	text_lower(wanted, name.len);
	first = first_of(f, wanted);
	if (first == f->hosts_count || strcmp(f->hosts[first].name, wanted) != 0)
		return false;
	*answer = (struct msg_dns_answer){ .status = DNS_NO_DATA,
		.ttl = HOSTS_TTL,
		.canonical = name,
		.why = SLICE(HOSTS " has no such address of it") };
	answer->data.items = arena_alloc(arena, DNS_ANSWER_LIMIT * sizeof(struct slice));
	for (size_t i = first; i < f->hosts_count && strcmp(f->hosts[i].name, wanted) == 0 &&
	     answer->data.count < DNS_ANSWER_LIMIT;
	     i++)
		if (f->hosts[i].family == family)
			answer->data.items[answer->data.count++] = slice_of(f->hosts[i].address);
	if (answer->data.count > 0) {
		answer->status = DNS_OK;
		answer->why = SLICE("");
	}
	return true;
}
