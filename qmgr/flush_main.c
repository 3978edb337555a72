/* SPDX-License-Identifier: ISC */
/*
 * flush_main.c - the queue manager's counter: takes orders from local commands over public/flush, looks
 * who asks, and hands on what he may.
 *
 * The socket is open to every user, and the kernel says who he is. A flush is for those in
 * authorized_flush_users; everything else is for root and the owner of the instance alone.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/text.h"
#include "common/dict/dict.h"
#include "common/log/log.h"
#include "common/service/service.h"
#include "common/task/task.h"
#include "qmgr/authorized.h"

enum {
	CLIENT_SECONDS = 100,
	IDLE_SECONDS = 60,
	LOOK_SECONDS = 2,
	REQUESTS_OF_A_USER = 4 /* at once */
};

static struct flush_settings {
	const char *queue_service_name, *authorized_flush_users, *fast_flush_domains,
	    *parent_domain_matches_subdomains;
	int64_t ipc_timeout;
} settings;

static struct match_list *sites; /* of fast_flush_domains; NULL: it can't be read */

static deadline patience(void)
{
	return deadline_after(CLIENT_SECONDS * CLOCK_SECOND);
}

/* --- requests ------------------------------------------------------------------------------------- */

/* qmgr has the last word; without it the client's wait fails. */
static void hand_on(struct request *client, const struct frame *question)
{
	struct channel *qmgr = service_channel(settings.queue_service_name, patience());
	struct request *r = NULL;
	struct frame *f;
	bool last = false;

	if (qmgr != NULL)
		r = request_open(qmgr, question->table, question->message, -1, true, patience());
	while (r != NULL && !last &&
	    (f = request_receive(r, deadline_after(settings.ipc_timeout))) != NULL) {
		last = f->last;
		if (request_send(client, f->table, f->message, f->fd, last, patience()) == -1)
			break;
	}
	if (r == NULL)
		log_warning("the queue manager can't be asked: %m");
	request_close(r);
}

static void ask_qmgr(struct request *r, struct frame *first)
{
	hand_on(r, first);
}

static void refuse(struct request *r, const char *why)
{
	struct msg_queue_ordered answer = { .why = slice_of(why), .forbidden = 1 };

	request_send(r, &table_queue_ordered, &answer, -1, true, patience());
}

/* Whether users other than the owner may have mail for the site tried. */
static bool serves(struct slice site)
{
	int rc = sites == NULL ? 0 : match_list_has(sites, site);

	if (rc == -1)
		log_warning("fast_flush_domains: a table does not answer");
	return rc == 1;
}

static void refuse_site(struct request *r, struct slice site)
{
	char *why = arena_printf(request_arena(r),
	    "Flush service is not configured for destination \"%.*s\": fast_flush_domains does not "
	    "have it",
	    (int)site.len, site.data);
	struct msg_queue_ordered answer = { .why = slice_of(why), .not_served = 1 };

	request_send(r, &table_queue_ordered, &answer, -1, true, patience());
}

static void order(struct request *r, struct frame *first)
{
	const struct msg_queue_order *wanted = first->message;
	struct channel *c = request_channel(r);

	if (channel_peer(c) == ROLE_ADMIN)
		hand_on(r, first);
	else if (wanted->op != ORDER_FLUSH)
		refuse(r, "only root and the owner of the instance may do that");
	else if (channel_load(c) > REQUESTS_OF_A_USER)
		refuse(r, "too many requests at once");
	else if (wanted->site.len > 0 && !serves(wanted->site))
		refuse_site(r, wanted->site);
	else
		hand_on(r, first);
}

static void refuse_order(struct request *r, struct frame *first)
{
	(void)first;
	refuse(r, "you are not in authorized_flush_users");
}

static void refuse_read(struct request *r, struct frame *first)
{
	const struct msg_queue_read *wanted = first->message;
	struct msg_queue_message answer = { .id = wanted->id,
		.why = SLICE("only root and the owner of the instance may read mail") };

	request_send(r, &table_queue_message, &answer, -1, true, patience());
}

/* Lists of another length than the question's. */
static void refuse_clients(struct request *r, struct frame *first)
{
	(void)first;
	request_send(r, &table_queue_clients_told, &(struct msg_queue_clients_told){ 0 }, -1, true,
	    patience());
}

/* Commands have no socket of the log. */
static void write_line(struct request *r, struct frame *first)
{
	const struct msg_log_line *m = first->message;
	struct msg_reply done = { 250, SLICE("2.0.0"), SLICE("") };

	log_as((enum log_level)m->level, arena_text(request_arena(r), m->tag), m->text);
	request_send(r, &table_reply, &done, -1, true, patience());
}

static const struct handler handlers[] = {
	{ &table_queue_order, ROLE_BIT(ROLE_ADMIN) | ROLE_BIT(ROLE_NONE), order },
	{ &table_queue_read, ROLE_BIT(ROLE_ADMIN), ask_qmgr },
	{ &table_queue_clients, ROLE_BIT(ROLE_ADMIN), ask_qmgr },
	{ &table_queue_clients, ROLE_BIT(ROLE_NONE), refuse_clients },
	{ &table_queue_read, ROLE_BIT(ROLE_NONE), refuse_read },
	{ &table_log_line, ROLE_BIT(ROLE_ADMIN), write_line },
	{ 0 },
};
static const struct handler refusing[] = {
	{ &table_queue_order, ROLE_BIT(ROLE_NONE), refuse_order },
	{ &table_queue_read, ROLE_BIT(ROLE_NONE), refuse_read },
	{ &table_queue_clients, ROLE_BIT(ROLE_NONE), refuse_clients },
	{ 0 },
};

/* --- clients -------------------------------------------------------------------------------------- */

struct session {
	bool is_over;
	struct task_list over;
};

static void left(struct channel *c, void *arg)
{
	struct session *s = arg;

	s->is_over = true;
	task_list_wake_all(&s->over);
	channel_close(c);
}

/* A client that asks nothing more goes when it was idle for a while, or when we are to end. */
static void serve(struct service_client *client)
{
	struct session s = { 0 };
	bool is_owner = authorized_is_owner(client->uid), may = authorized_has(client->uid);
	struct channel *c = channel_new(client->fd, is_owner ? ROLE_ADMIN : ROLE_NONE,
	    may ? handlers : refusing, left, &s);
	deadline limit = deadline_after(IDLE_SECONDS * CLOCK_SECOND);

	while (!s.is_over) {
		if (task_list_wait(&s.over, deadline_after(LOOK_SECONDS * CLOCK_SECOND)) == 0)
			continue;
		if (errno == ETIMEDOUT && channel_load(c) > 0)
			limit = deadline_after(IDLE_SECONDS * CLOCK_SECOND);
		else if (errno != ETIMEDOUT || service_draining() != 0 || clock_now() >= limit) {
			channel_close(c);
			return;
		}
	}
}

static bool list_has_word(const char *list, struct slice word)
{
	struct slice rest = slice_of(list), next;

	while (text_next_word(&rest, ", \t\r\n", &next))
		if (slice_equal(next, word))
			return true;
	return false;
}

static void open_list(void)
{
	char *why = NULL;
	bool below = list_has_word(settings.parent_domain_matches_subdomains,
	    SLICE("fast_flush_domains"));

	authorized_open("authorized_flush_users", settings.authorized_flush_users);
	sites = match_list_open(service_config_directory(), settings.fast_flush_domains,
	    MATCH_DOMAIN, below, &why);
	if (sites == NULL)
		log_error("fast_flush_domains: %s; only root and the owner may flush a site", why);
	free(why);
}

#define SETTING(member) CONF_SETTING(struct flush_settings, member, #member)

static const struct conf_setting setting_rows[] = {
	SETTING(queue_service_name),
	SETTING(authorized_flush_users),
	SETTING(fast_flush_domains),
	SETTING(parent_domain_matches_subdomains),
	SETTING(ipc_timeout),
	{ 0 },
};

static const struct service flush = {
	.name = "flush",
	.role = ROLE_FLUSH,
	.settings = setting_rows,
	.settings_out = &settings,
	.open = open_list,
	.session = serve,
};

int main(int argc, char **argv)
{
	return service_main(&flush, argc, argv);
}
