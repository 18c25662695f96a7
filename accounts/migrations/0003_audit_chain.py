"""The trail becomes append-only, and every event in it gets a seal: its digest at once, its place in a chain soon after.

The database does all of this itself, in functions that run with the rights of their owner: a role of the web that may
only SELECT and INSERT on the trail (docs/operators.md) can write events, have them chained, and have what is old enough
purged, and nothing else (docs/decisions/0032).
"""

import uuid

import django.contrib.postgres.functions
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

FORWARD = """
-- What an event is, as text, without the pointer to its person (their name as it was then is in it). Another form than
-- this would need a new version of the seals: never change what it gives for an event that is there.
CREATE FUNCTION audit_moment(at timestamptz) RETURNS text LANGUAGE sql STABLE AS
$$ SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;

CREATE FUNCTION audit_form(act accounts_auditevent) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_array('act', act.event_id, audit_moment(act.at), act.actor_name, act.seen_as, act.action,
                             act.subject, act.details, host(act.address), act.request_id)::text
$$;

CREATE FUNCTION audit_digest(form text) RETURNS bytea LANGUAGE sql IMMUTABLE AS
$$ SELECT sha256(convert_to(form, 'UTF8')) $$;

-- The digest is made with the event, in its transaction.
CREATE FUNCTION audit_seal_act() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO accounts_auditseal (chain, event, digest)
    VALUES ('acts', NEW.event_id, audit_digest(audit_form(NEW)));
    RETURN NULL;
END $$;

-- Nobody changes an event; a person who is deleted leaves it (its form stays the same).
CREATE FUNCTION audit_act_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.actor_id IS NULL AND audit_form(NEW) = audit_form(OLD) AND NEW.id = OLD.id THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;

-- Events and seals go in a transaction of audit_purge or audit_erase only, which leaves a row that says so.
CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (
        SELECT FROM accounts_auditpurge WHERE transaction = pg_current_xact_id()::text
    ) THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER audit_seal AFTER INSERT ON accounts_auditevent FOR EACH ROW EXECUTE FUNCTION audit_seal_act();
CREATE TRIGGER audit_unchanged BEFORE UPDATE ON accounts_auditevent FOR EACH ROW EXECUTE FUNCTION audit_act_stays();
CREATE TRIGGER audit_kept BEFORE DELETE ON accounts_auditevent FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();
CREATE TRIGGER audit_whole BEFORE TRUNCATE ON accounts_auditevent FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();
CREATE TRIGGER audit_kept BEFORE DELETE ON accounts_auditseal FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();
CREATE TRIGGER audit_whole BEFORE TRUNCATE ON accounts_auditseal FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();
CREATE TRIGGER audit_kept BEFORE DELETE ON accounts_auditpurge FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();
CREATE TRIGGER audit_whole BEFORE TRUNCATE ON accounts_auditpurge FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();

-- Of what a chain is made, what of it goes with a person, and how young nothing is purged.
CREATE FUNCTION audit_place(chain_name text, OUT events text, OUT key text, OUT erasable text, OUT youngest interval)
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    CASE chain_name
        WHEN 'acts' THEN
            events := 'accounts_auditevent'; key := 'event_id'; youngest := '90 days';
            erasable := 'actor_id = $1 AND action IN (''document_viewed'', ''document_downloaded'')';
        WHEN 'searches' THEN
            events := 'search_searchevent'; key := 'id'; youngest := '7 days';
            erasable := 'user_id = $1';
    END CASE;
END $$;

-- The chain's row, locked: one at a time seals or purges, and no search waits for it.
CREATE FUNCTION audit_held(chain_name text) RETURNS accounts_auditchain LANGUAGE plpgsql AS $$
DECLARE held accounts_auditchain;
BEGIN
    PERFORM audit_place(chain_name);
    INSERT INTO accounts_auditchain (name, tail_position, tail_link, head_position, head_link)
    VALUES (chain_name, 0, decode(repeat('00', 32), 'hex'), 0, decode(repeat('00', 32), 'hex'))
    ON CONFLICT DO NOTHING;
    SELECT * INTO held FROM accounts_auditchain WHERE name = chain_name FOR UPDATE;
    RETURN held;
END $$;

-- Give events that wait their places, in the order of their seals, so many at most; how many they were.
CREATE FUNCTION audit_seal(chain_name text, most integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    held accounts_auditchain := audit_held(chain_name);
    waiting record;
    sealed integer := 0;
BEGIN
    FOR waiting IN SELECT id, digest FROM accounts_auditseal
                   WHERE chain = chain_name AND position IS NULL ORDER BY id LIMIT most LOOP
        sealed := sealed + 1;
        held.head_position := held.head_position + 1;
        held.head_link := sha256(held.head_link || int8send(held.head_position) || waiting.digest);
        UPDATE accounts_auditseal SET position = held.head_position, link = held.head_link WHERE id = waiting.id;
    END LOOP;
    UPDATE accounts_auditchain SET head_position = held.head_position, head_link = held.head_link
    WHERE name = chain_name AND sealed > 0;
    RETURN sealed;
END $$;

-- Note a purge: the row that lets it happen, and an act, which is itself in a chain.
CREATE FUNCTION audit_note_purge(purge accounts_auditpurge) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE noted bigint;
BEGIN
    INSERT INTO accounts_auditpurge
        (chain, at, reason, first_position, last_position, count, digest, link, transaction)
    VALUES (purge.chain, now(), purge.reason, purge.first_position, purge.last_position, purge.count, purge.digest,
            purge.link, pg_current_xact_id()::text)
    RETURNING id INTO noted;
    INSERT INTO accounts_auditevent (at, actor_name, seen_as, action, subject, details, request_id)
    VALUES (now(), '', '', 'audit_purged', purge.chain, jsonb_build_object(
        'purge', noted, 'reason', purge.reason, 'first', purge.first_position, 'last', purge.last_position,
        'count', purge.count, 'digest', encode(purge.digest, 'hex'), 'link', encode(purge.link, 'hex')), '');
    RETURN noted;
END $$;

-- Take the beginning of a chain away, up to the first event that is not older than this; so many at most. The purge's
-- number, or NULL where nothing is old enough.
CREATE FUNCTION audit_purge(chain_name text, before timestamptz, most integer) RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    place record := audit_place(chain_name);
    held accounts_auditchain := audit_held(chain_name);
    purge accounts_auditpurge;
    noted bigint;
BEGIN
    before := least(before, now() - place.youngest);
    -- An event that was erased has no date any more, and goes with those around it.
    EXECUTE format(
        'SELECT seal.position - 1 FROM accounts_auditseal seal JOIN %I event ON event.%I = seal.event '
        'WHERE seal.chain = $1 AND seal.position <= $3 AND event.at >= $2 ORDER BY seal.position LIMIT 1',
        place.events, place.key)
    INTO purge.last_position USING chain_name, before, held.tail_position + most;
    purge.last_position := coalesce(purge.last_position, least(held.head_position, held.tail_position + most));
    IF purge.last_position <= held.tail_position THEN
        RETURN NULL;
    END IF;
    purge.chain := chain_name;
    purge.reason := 'retention';
    purge.first_position := held.tail_position + 1;
    SELECT count(*), sha256(string_agg(digest, '' ORDER BY position)) INTO purge.count, purge.digest
    FROM accounts_auditseal WHERE chain = chain_name AND position BETWEEN purge.first_position AND purge.last_position;
    SELECT link INTO purge.link FROM accounts_auditseal WHERE chain = chain_name AND position = purge.last_position;
    noted := audit_note_purge(purge);
    EXECUTE format(
        'DELETE FROM %I event USING accounts_auditseal seal WHERE event.%I = seal.event '
        'AND seal.chain = $1 AND seal.position BETWEEN $2 AND $3', place.events, place.key)
    USING chain_name, purge.first_position, purge.last_position;
    DELETE FROM accounts_auditseal
    WHERE chain = chain_name AND position BETWEEN purge.first_position AND purge.last_position;
    UPDATE accounts_auditchain SET tail_position = purge.last_position, tail_link = purge.link WHERE name = chain_name;
    RETURN noted;
END $$;

-- Take out of a chain what goes with a person, and leave the seals; the purge's number, or NULL where there was nothing.
CREATE FUNCTION audit_erase(chain_name text, person bigint) RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    place record := audit_place(chain_name);
    held accounts_auditchain;
    events uuid[];
    purge accounts_auditpurge;
    noted bigint;
BEGIN
    WHILE audit_seal(chain_name, 10000) > 0 LOOP
    END LOOP;
    held := audit_held(chain_name);
    -- What is being written at this moment is not sealed yet, and stays.
    EXECUTE format(
        'SELECT array_agg(seal.event), min(seal.position), max(seal.position), count(*), '
        'sha256(string_agg(seal.digest, '''' ORDER BY seal.position)) '
        'FROM accounts_auditseal seal JOIN %I event ON event.%I = seal.event '
        'WHERE seal.chain = $2 AND seal.position IS NOT NULL AND event.%s',
        place.events, place.key, place.erasable)
    INTO events, purge.first_position, purge.last_position, purge.count, purge.digest USING person, chain_name;
    IF purge.count = 0 THEN
        RETURN NULL;
    END IF;
    purge.chain := chain_name;
    purge.reason := 'erasure';
    noted := audit_note_purge(purge);
    UPDATE accounts_auditseal SET erased_by_id = noted WHERE event = ANY (events);
    EXECUTE format('DELETE FROM %I WHERE %I = ANY ($1)', place.events, place.key) USING events;
    RETURN noted;
END $$;

-- What was there before is sealed in its order.
INSERT INTO accounts_auditseal (chain, event, digest)
SELECT 'acts', act.event_id, audit_digest(audit_form(act)) FROM accounts_auditevent AS act ORDER BY act.at, act.id;
"""

BACKWARD = """
DROP TRIGGER audit_seal ON accounts_auditevent;
DROP TRIGGER audit_unchanged ON accounts_auditevent;
DROP TRIGGER audit_kept ON accounts_auditevent;
DROP TRIGGER audit_whole ON accounts_auditevent;
DROP FUNCTION audit_erase(text, bigint), audit_purge(text, timestamptz, integer), audit_note_purge(accounts_auditpurge),
    audit_seal(text, integer), audit_held(text), audit_place(text), audit_act_stays(), audit_seal_act(),
    audit_digest(text), audit_form(accounts_auditevent), audit_moment(timestamptz);
DROP FUNCTION audit_stays() CASCADE;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_identity")]

    operations = [
        migrations.CreateModel(
            name="AuditChain",
            fields=[
                ("name", models.CharField(max_length=10, primary_key=True, serialize=False)),
                ("tail_position", models.BigIntegerField(default=0)),
                ("tail_link", models.BinaryField()),
                ("head_position", models.BigIntegerField(default=0)),
                ("head_link", models.BinaryField()),
            ],
        ),
        migrations.CreateModel(
            name="AuditPurge",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("chain", models.CharField(max_length=10)),
                ("at", models.DateTimeField()),
                ("reason", models.CharField(max_length=20)),
                ("first_position", models.BigIntegerField()),
                ("last_position", models.BigIntegerField()),
                ("count", models.BigIntegerField()),
                (
                    "digest",
                    models.BinaryField(help_text="SHA-256 over the digests of what went, in the chain's order."),
                ),
                ("link", models.BinaryField(null=True)),
                (
                    "transaction",
                    models.CharField(db_index=True, help_text="In which the guards let events go.", max_length=24),
                ),
            ],
        ),
        migrations.AddField(
            model_name="auditevent",
            name="event_id",
            field=models.UUIDField(
                db_default=django.contrib.postgres.functions.RandomUUID(),
                default=uuid.uuid4,
                editable=False,
                unique=True,
            ),
        ),
        migrations.AlterField(
            model_name="auditevent",
            name="at",
            field=models.DateTimeField(db_index=True, default=django.utils.timezone.now, editable=False),
        ),
        migrations.CreateModel(
            name="AuditSeal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("chain", models.CharField(max_length=10)),
                ("event", models.UUIDField(unique=True)),
                ("digest", models.BinaryField(help_text="SHA-256 over the event's canonical form.")),
                ("position", models.BigIntegerField(null=True)),
                ("link", models.BinaryField(null=True)),
                (
                    "erased_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="erased",
                        to="accounts.auditpurge",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("position__isnull", True)), fields=["chain", "id"], name="seal_waiting"
                    )
                ],
                "constraints": [models.UniqueConstraint(fields=("chain", "position"), name="seal_one_a_position")],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
