-- A small CRM with row-level security, in the form of BottleCRM: the walk-through of docs/newcomer.md begins here.
CREATE TABLE organization (id uuid PRIMARY KEY, name text NOT NULL);
CREATE TABLE users (id uuid PRIMARY KEY, org_id uuid NOT NULL REFERENCES organization, email text NOT NULL, password text NOT NULL);
CREATE TABLE contacts (
  id uuid PRIMARY KEY, org_id uuid NOT NULL REFERENCES organization, first_name text, last_name text, email text,
  description text, custom_fields jsonb, portal_token text, created_by_id uuid REFERENCES users,
  created_at timestamptz NOT NULL, updated_at timestamptz
);
CREATE TABLE opportunity (
  id uuid PRIMARY KEY, org_id uuid NOT NULL REFERENCES organization, name text NOT NULL, amount numeric(12, 2),
  created_by_id uuid REFERENCES users, created_at timestamptz NOT NULL
);
CREATE TABLE opportunity_contacts (
  id bigint PRIMARY KEY, opportunity_id uuid NOT NULL REFERENCES opportunity, contact_id uuid NOT NULL REFERENCES contacts,
  UNIQUE (opportunity_id, contact_id)
);
CREATE TABLE comment (
  id uuid PRIMARY KEY, org_id uuid NOT NULL REFERENCES organization, opportunity_id uuid NOT NULL REFERENCES opportunity,
  text text NOT NULL, created_at timestamptz NOT NULL
);
CREATE TABLE django_migrations (id bigint PRIMARY KEY, app text NOT NULL, name text NOT NULL);

INSERT INTO organization VALUES ('11111111-0000-4000-8000-000000000001', 'Aurora'), ('11111111-0000-4000-8000-000000000002', 'Boreal');
INSERT INTO users VALUES ('22222222-0000-4000-8000-000000000001', '11111111-0000-4000-8000-000000000001', 'staff@aurora.test', 'pbkdf2$x');
INSERT INTO contacts
  SELECT ('33333333-0000-4000-8000-00000000000' || n)::uuid, ('11111111-0000-4000-8000-00000000000' || (1 + n / 3))::uuid,
         'First' || n, 'Last' || n, 'c' || n || '@example.test', 'note ' || n, '{"plan": "a"}', 'token' || n,
         '22222222-0000-4000-8000-000000000001', '2026-01-02T03:04:05Z', NULL
  FROM generate_series(1, 4) AS n;
INSERT INTO opportunity
  SELECT ('44444444-0000-4000-8000-00000000000' || n)::uuid, ('11111111-0000-4000-8000-00000000000' || (1 + n / 3))::uuid,
         'Deal ' || n, n * 100.50, NULL, '2026-01-02T03:04:05Z'
  FROM generate_series(1, 4) AS n;
INSERT INTO opportunity_contacts
  SELECT n, ('44444444-0000-4000-8000-00000000000' || n)::uuid, ('33333333-0000-4000-8000-00000000000' || n)::uuid
  FROM generate_series(1, 4) AS n;
INSERT INTO opportunity_contacts VALUES (5, '44444444-0000-4000-8000-000000000002', '33333333-0000-4000-8000-000000000001');
INSERT INTO comment
  SELECT ('55555555-0000-4000-8000-00000000000' || n)::uuid, ('11111111-0000-4000-8000-00000000000' || (1 + n / 3))::uuid,
         ('44444444-0000-4000-8000-00000000000' || n)::uuid, 'comment ' || n, '2026-01-02T03:04:05Z'
  FROM generate_series(1, 4) AS n;

ALTER TABLE contacts ENABLE ROW LEVEL SECURITY;
ALTER TABLE contacts FORCE ROW LEVEL SECURITY;
CREATE POLICY of_org ON contacts USING (org_id = NULLIF(current_setting('app.current_org', true), '')::uuid);
ALTER TABLE opportunity ENABLE ROW LEVEL SECURITY;
ALTER TABLE opportunity FORCE ROW LEVEL SECURITY;
CREATE POLICY of_org ON opportunity USING (org_id = NULLIF(current_setting('app.current_org', true), '')::uuid);
ALTER TABLE comment ENABLE ROW LEVEL SECURITY;
ALTER TABLE comment FORCE ROW LEVEL SECURITY;
CREATE POLICY of_org ON comment USING (org_id = NULLIF(current_setting('app.current_org', true), '')::uuid);
