-- The roles and schemas of the services in one database, for an administrator to run; a second run makes what is missing:
--   psql -d llama_mapper -v access=PASSWORD -v mapper=PASSWORD -v orchestration=PASSWORD -f deploy/roles.sql
-- Each service logs in as its own role, owns its own schema and reaches no other.
SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', role, password)
	FROM (VALUES ('access', :'access'), ('mapper', :'mapper'), ('orchestration', :'orchestration')) AS r (role, password)
	WHERE role NOT IN (SELECT rolname FROM pg_roles) \gexec
REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA IF NOT EXISTS access AUTHORIZATION access;
CREATE SCHEMA IF NOT EXISTS mapper AUTHORIZATION mapper;
CREATE SCHEMA IF NOT EXISTS orchestration AUTHORIZATION orchestration;
