/* SPDX-License-Identifier: ISC */
/*
 * defaults.c - the defaults that depend on this system: its name, its domain, its networks.
 *
 * What needs a system call is asked once, when main.cf is loaded: a service may be locked up by the
 * time it wants a value.
 */
#include "common/conf/internal.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/io.h"
#include "common/base/mem.h"

static const char no_domain[] = "localdomain";
static const char loopback[] = "127.0.0.0/8 [::1]/128";

static char *system_name(void)
{
	char name[HOST_NAME_MAX + 1] = "";

	if (gethostname(name, sizeof(name) - 1) == -1 || name[0] == '\0')
		return mem_printf("localhost.%s", no_domain);
	if (strchr(name, '.') == NULL)
		return mem_printf("%s.%s", name, no_domain);
	return mem_strdup(name);
}

void conf_ask_system(struct conf *conf)
{
	conf->system_name = system_name();
	conf->process_id = getpid();
	if (getifaddrs(&conf->interfaces) == -1)
		conf->interfaces = NULL;
}

void conf_forget_system(struct conf *conf)
{
	free(conf->system_name);
	if (conf->interfaces != NULL)
		freeifaddrs(conf->interfaces);
}

bool has_our_programs(const char *directory)
{
	char *path = mem_printf("%s/rewrite", directory); /* Postfix has none of this name */
	bool has = access(path, X_OK) == 0;

	free(path);
	return has;
}

/* Takes own; NULL when it has none of ours. */
static char *if_ours(char *own)
{
	if (has_our_programs(own))
		return own;
	free(own);
	return NULL;
}

char *conf_own_programs(void)
{
	char *own = io_own_directory(), *found;

	if (own == NULL)
		return mem_strdup(parameter_find("daemon_directory")->fallback);
	found = if_ours(mem_strdup(own));
	if (found == NULL)
		found = if_ours(mem_printf("%s/../lib/gatepost", own));
	free(own);
	return found != NULL ? found : mem_strdup(parameter_find("daemon_directory")->fallback);
}

char *conf_program_directory(struct conf *conf)
{
	const char *named = conf_explicit(conf, "daemon_directory");

	if (named != NULL) {
		named = conf_text(conf, "daemon_directory");
		if (has_our_programs(named))
			return mem_strdup(named);
	}
	return conf_own_programs();
}

static char *find_myhostname(struct conf *conf)
{
	return mem_strdup(conf->system_name);
}

static char *without_first_label(const char *name)
{
	const char *dot = strchr(name, '.');

	return mem_strdup(dot == NULL || dot[1] == '\0' ? no_domain : dot + 1);
}

/* "myhostname = mail.$mydomain" without mydomain asks for itself: then the system's name counts. */
static char *find_mydomain(struct conf *conf)
{
	char *domain;

	if (conf->computing[COMPUTED_MYDOMAIN])
		return without_first_label(conf->system_name);
	conf->computing[COMPUTED_MYDOMAIN] = true;
	domain = without_first_label(conf_text(conf, "myhostname"));
	conf->computing[COMPUTED_MYDOMAIN] = false;
	return domain;
}

/* Bits of the network that an address counts with in mynetworks. */
static unsigned prefix_of_mask(const unsigned char *mask, size_t len)
{
	unsigned bits = 0;

	while (bits < len * 8 && (mask[bits / 8] & (0x80 >> bits % 8)) != 0)
		bits++;
	return bits;
}

static unsigned prefix_of_class(const unsigned char *address)
{
	return address[0] < 128 ? 8 : address[0] < 192 ? 16 : address[0] < 224 ? 24 : 32;
}

static void put_network(struct buf *out, int family, const unsigned char *address, unsigned bits)
{
	unsigned char network[16] = { 0 };
	char text[INET6_ADDRSTRLEN];

	memcpy(network, address, family == AF_INET ? 4 : 16);
	for (unsigned i = bits; i < (family == AF_INET ? 32u : 128u); i++)
		network[i / 8] &= (unsigned char)~(0x80 >> i % 8);
	if (inet_ntop(family, network, text, sizeof(text)) != NULL)
		buf_printf(out, family == AF_INET ? " %s/%u" : " [%s]/%u", text, bits);
}

static void put_interface(struct buf *out, const struct ifaddrs *i, const char *style)
{
	bool subnet = strcmp(style, "subnet") == 0;

	if (i->ifa_addr == NULL || (i->ifa_flags & IFF_UP) == 0 ||
	    (i->ifa_flags & IFF_LOOPBACK) != 0)
		return;
	if (i->ifa_addr->sa_family == AF_INET) {
		const unsigned char *address =
		    (const void *)&((const struct sockaddr_in *)(const void *)i->ifa_addr)
			->sin_addr;
		const unsigned char *mask = i->ifa_netmask == NULL
		    ? NULL
		    : (const void *)&((const struct sockaddr_in *)(const void *)i->ifa_netmask)
			  ->sin_addr;

		put_network(out, AF_INET, address,
		    strcmp(style, "class") == 0	 ? prefix_of_class(address)
			: subnet && mask != NULL ? prefix_of_mask(mask, 4)
						 : 32);
	} else if (i->ifa_addr->sa_family == AF_INET6) {
		const struct sockaddr_in6 *address = (const void *)i->ifa_addr;
		const struct sockaddr_in6 *mask = (const void *)i->ifa_netmask;

		put_network(out, AF_INET6, address->sin6_addr.s6_addr,
		    subnet && mask != NULL ? prefix_of_mask(mask->sin6_addr.s6_addr, 16) : 128);
	}
}

static char *find_mynetworks(struct conf *conf)
{
	struct buf out = { 0 };
	const char *style;

	if (conf->computing[COMPUTED_MYNETWORKS])
		return mem_strdup(loopback);
	conf->computing[COMPUTED_MYNETWORKS] = true;
	style = conf_text(conf, "mynetworks_style");
	buf_puts(&out, loopback);
	if (strcmp(style, "loopback") != 0 &&
	    strcmp(conf_text(conf, "inet_interfaces"), "loopback-only") != 0)
		for (const struct ifaddrs *i = conf->interfaces; i != NULL; i = i->ifa_next)
			put_interface(&out, i, style);
	conf->computing[COMPUTED_MYNETWORKS] = false;
	return buf_take(&out);
}

static char *find_process_id(struct conf *conf)
{
	return mem_printf("%d", (int)conf->process_id);
}

static char *find_config_directory(struct conf *conf)
{
	return mem_strdup(conf->path);
}

static const struct {
	const char *name;
	char *(*find)(struct conf *);
} computed[COMPUTED_COUNT] = {
	[COMPUTED_CONFIG_DIRECTORY] = { "config_directory", find_config_directory },
	[COMPUTED_MYDOMAIN] = { "mydomain", find_mydomain },
	[COMPUTED_MYHOSTNAME] = { "myhostname", find_myhostname },
	[COMPUTED_MYNETWORKS] = { "mynetworks", find_mynetworks },
	[COMPUTED_PROCESS_ID] = { "process_id", find_process_id },
};

const char *conf_computed(struct conf *conf, const char *name)
{
	char *value;

	for (size_t i = 0; i < COMPUTED_COUNT; i++) {
		if (strcmp(computed[i].name, name) != 0)
			continue;
		if (conf->computed[i] == NULL) {
			value = computed[i].find(conf);
			free(conf->computed[i]); /* finding it may have asked for it */
			conf->computed[i] = value;
		}
		return conf->computed[i];
	}
	return NULL;
}

void conf_forget_computed(struct conf *conf)
{
	for (size_t i = 0; i < COMPUTED_COUNT; i++) {
		free(conf->computed[i]);
		conf->computed[i] = NULL;
	}
}
