"""The trail of searches tells from where, is append-only, and has a chain of its own (see accounts/migrations/0003)."""

import django.utils.timezone
from django.db import migrations, models

FORWARD = """
CREATE FUNCTION audit_form(search search_searchevent) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_array('search', search.id, audit_moment(search.at), search.user_name, search.role,
                             search.seen_as, search.phase, search.query, search.filters, search.mode, search.degraded,
                             search.count, search.page, search.duration_ms, search.request_id, host(search.address),
                             search.session)::text
$$;

-- Who writes without a name (the command line, a process of the release before) gets it from the person.
CREATE FUNCTION audit_name_searcher() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT username INTO NEW.user_name FROM accounts_user WHERE id = NEW.user_id;
    NEW.user_name := coalesce(NEW.user_name, '');
    RETURN NEW;
END $$;

CREATE FUNCTION audit_seal_search() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO accounts_auditseal (chain, event, digest)
    VALUES ('searches', NEW.id, audit_digest(audit_form(NEW)));
    RETURN NULL;
END $$;

CREATE FUNCTION audit_search_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.user_id IS NULL AND audit_form(NEW) = audit_form(OLD) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;

UPDATE search_searchevent SET user_name = accounts_user.username
FROM accounts_user WHERE accounts_user.id = search_searchevent.user_id;

CREATE TRIGGER audit_name BEFORE INSERT ON search_searchevent FOR EACH ROW
    WHEN (NEW.user_id IS NOT NULL AND NEW.user_name = '') EXECUTE FUNCTION audit_name_searcher();
CREATE TRIGGER audit_seal AFTER INSERT ON search_searchevent FOR EACH ROW EXECUTE FUNCTION audit_seal_search();
CREATE TRIGGER audit_unchanged BEFORE UPDATE ON search_searchevent
    FOR EACH ROW EXECUTE FUNCTION audit_search_stays();
CREATE TRIGGER audit_kept BEFORE DELETE ON search_searchevent FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();
CREATE TRIGGER audit_whole BEFORE TRUNCATE ON search_searchevent FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();

INSERT INTO accounts_auditseal (chain, event, digest)
SELECT 'searches', search.id, audit_digest(audit_form(search)) FROM search_searchevent AS search
ORDER BY search.at, search.id;
"""

BACKWARD = """
DROP TRIGGER audit_name ON search_searchevent;
DROP TRIGGER audit_seal ON search_searchevent;
DROP TRIGGER audit_unchanged ON search_searchevent;
DROP TRIGGER audit_kept ON search_searchevent;
DROP TRIGGER audit_whole ON search_searchevent;
DROP FUNCTION audit_name_searcher(), audit_seal_search(), audit_search_stays(), audit_form(search_searchevent);
"""


class Migration(migrations.Migration):
    dependencies = [("search", "0008_mine"), ("accounts", "0003_audit_chain")]

    operations = [
        migrations.AddField(
            model_name="searchevent",
            name="address",
            field=models.GenericIPAddressField(null=True),
        ),
        migrations.AddField(
            model_name="searchevent",
            name="session",
            field=models.CharField(
                blank=True,
                db_default="",
                help_text="Searches of one session have the same digest here.",
                max_length=32,
            ),
        ),
        migrations.AddField(
            model_name="searchevent",
            name="user_name",
            field=models.CharField(
                blank=True, db_default="", help_text="The user name, as it was then.", max_length=150
            ),
        ),
        migrations.AlterField(
            model_name="searchevent",
            name="at",
            field=models.DateTimeField(db_index=True, default=django.utils.timezone.now, editable=False),
        ),
        migrations.AlterModelOptions(
            name="searchevent",
            options={"ordering": ["-at"], "verbose_name": "search", "verbose_name_plural": "searches"},
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
