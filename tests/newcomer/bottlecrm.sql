-- The tables of BottleCRM that the map reads, with their columns, types and policies; rows by a script of the test.
CREATE TABLE organization (id uuid PRIMARY KEY, name varchar(100));
CREATE TABLE contacts (
  id uuid PRIMARY KEY, org_id uuid NOT NULL, first_name varchar(255) NOT NULL, last_name varchar(255) NOT NULL,
  email varchar(254), phone varchar(25), address_line varchar(255), description text, custom_fields jsonb NOT NULL,
  is_active boolean NOT NULL, is_sample boolean NOT NULL, auto_created boolean NOT NULL, created_by_id uuid,
  updated_by_id uuid, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL
);
CREATE TABLE opportunity (
  id uuid PRIMARY KEY, org_id uuid NOT NULL, name varchar(255) NOT NULL, stage varchar(64) NOT NULL, currency varchar(3),
  amount numeric(12, 2), probability integer, closed_on date, is_sample boolean NOT NULL, created_at timestamptz NOT NULL
);
CREATE TABLE "case" (
  id uuid PRIMARY KEY, org_id uuid NOT NULL, name varchar(64) NOT NULL, status varchar(64) NOT NULL, description text,
  created_at timestamptz NOT NULL
);
CREATE TABLE task (
  id uuid PRIMARY KEY, org_id uuid NOT NULL, title varchar(200) NOT NULL, status varchar(50) NOT NULL, due_date date,
  opportunity_id uuid, case_id uuid, created_at timestamptz NOT NULL
);
CREATE TABLE opportunity_contacts (id integer PRIMARY KEY, opportunity_id uuid NOT NULL, contact_id uuid NOT NULL);
CREATE TABLE case_contacts (id integer PRIMARY KEY, case_id uuid NOT NULL, contact_id uuid NOT NULL);
CREATE TABLE task_contacts (id integer PRIMARY KEY, task_id uuid NOT NULL, contact_id uuid NOT NULL);

-- 2 organisations, 40 contacts, of each 20; everything else is linked by numbers, across organisations too.
INSERT INTO organization SELECT ('10000000-0000-4000-8000-00000000000' || n)::uuid, 'Org ' || n FROM generate_series(0, 1) n;
INSERT INTO contacts
  SELECT ('20000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, ('10000000-0000-4000-8000-00000000000' || n % 2)::uuid,
         'First' || n, 'Last' || n, 'c' || n / 2 || '@example.test', NULL, NULL, 'note', '{"plan": "a"}', true, n % 19 = 7,
         false, NULL, NULL, '2026-01-01T00:00:00Z'::timestamptz + n * interval '1 hour', '2026-01-01T00:00:00Z'
  FROM generate_series(0, 39) n;
INSERT INTO opportunity
  SELECT ('30000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, ('10000000-0000-4000-8000-00000000000' || n % 2)::uuid,
         'Deal ' || n, 'won', 'EUR', n * 10.5, n, '2026-02-03', n % 11 = 5, '2026-01-01T00:00:00Z'
  FROM generate_series(0, 199) n;
INSERT INTO "case"
  SELECT ('40000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, ('10000000-0000-4000-8000-00000000000' || n % 2)::uuid,
         'Case ' || n, 'open', 'text', '2026-01-01T00:00:00Z' FROM generate_series(0, 99) n;
INSERT INTO task
  SELECT ('50000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, ('10000000-0000-4000-8000-00000000000' || n % 2)::uuid,
         'Task ' || n, 'open', NULL,
         CASE WHEN n % 3 = 0 THEN ('30000000-0000-4000-8000-' || lpad((n % 200)::text, 12, '0'))::uuid END,
         CASE WHEN n % 5 = 0 THEN ('40000000-0000-4000-8000-' || lpad((n % 100)::text, 12, '0'))::uuid END,
         '2026-01-01T00:00:00Z' FROM generate_series(0, 1999) n;
INSERT INTO opportunity_contacts
  SELECT n, ('30000000-0000-4000-8000-' || lpad((n % 200)::text, 12, '0'))::uuid,
         ('20000000-0000-4000-8000-' || lpad((n * 7 % 40)::text, 12, '0'))::uuid FROM generate_series(0, 399) n;
INSERT INTO case_contacts
  SELECT n, ('40000000-0000-4000-8000-' || lpad((n % 100)::text, 12, '0'))::uuid,
         ('20000000-0000-4000-8000-' || lpad((n * 3 % 40)::text, 12, '0'))::uuid FROM generate_series(0, 199) n;
INSERT INTO task_contacts
  SELECT n, ('50000000-0000-4000-8000-' || lpad((n * 11 % 2000)::text, 12, '0'))::uuid,
         ('20000000-0000-4000-8000-' || lpad((n % 40)::text, 12, '0'))::uuid FROM generate_series(0, 399) n;

ALTER TABLE contacts ENABLE ROW LEVEL SECURITY;
ALTER TABLE contacts FORCE ROW LEVEL SECURITY;
CREATE POLICY org_isolation ON contacts USING (org_id::text = (select NULLIF(current_setting('app.current_org', true), '')));
ALTER TABLE opportunity ENABLE ROW LEVEL SECURITY;
ALTER TABLE opportunity FORCE ROW LEVEL SECURITY;
CREATE POLICY org_isolation ON opportunity USING (org_id::text = (select NULLIF(current_setting('app.current_org', true), '')));
ALTER TABLE "case" ENABLE ROW LEVEL SECURITY;
ALTER TABLE "case" FORCE ROW LEVEL SECURITY;
CREATE POLICY org_isolation ON "case" USING (org_id::text = (select NULLIF(current_setting('app.current_org', true), '')));
ALTER TABLE task ENABLE ROW LEVEL SECURITY;
ALTER TABLE task FORCE ROW LEVEL SECURITY;
CREATE POLICY org_isolation ON task USING (org_id::text = (select NULLIF(current_setting('app.current_org', true), '')));
