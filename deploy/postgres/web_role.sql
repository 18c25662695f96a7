-- A role for the web servers that cannot touch what is in the audit trail. Run it as the owner of the database, after
-- each migrate; the role itself is made once: CREATE ROLE cloister_web LOGIN PASSWORD '…';
-- Web servers get it in their DATABASE_URL. Workers, beat and management commands keep the owner's, which migrates,
-- seals and purges.
GRANT USAGE ON SCHEMA public TO cloister_web;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO cloister_web;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO cloister_web;

-- Events are read and written, never changed; the pointer to a person may become empty, when they are deleted.
REVOKE UPDATE, DELETE, TRUNCATE ON accounts_auditevent, search_searchevent FROM cloister_web;
GRANT UPDATE (actor_id) ON accounts_auditevent TO cloister_web;
GRANT UPDATE (user_id) ON search_searchevent TO cloister_web;

-- Seals, chains and purges are the functions' own.
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON accounts_auditseal, accounts_auditchain, accounts_auditpurge
    FROM cloister_web;
REVOKE EXECUTE ON FUNCTION audit_purge(text, timestamptz, integer), audit_erase(text, bigint) FROM PUBLIC;
