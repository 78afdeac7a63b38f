-- The roles and schemas of the services in one database, for an administrator to run once:
--   psql -d llama_mapper -v access=PASSWORD -v mapper=PASSWORD -f deploy/roles.sql
-- Each service logs in as its own role, owns its own schema and reaches no other.
CREATE ROLE access LOGIN PASSWORD :'access';
CREATE ROLE mapper LOGIN PASSWORD :'mapper';
REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA access AUTHORIZATION access;
CREATE SCHEMA mapper AUTHORIZATION mapper;
