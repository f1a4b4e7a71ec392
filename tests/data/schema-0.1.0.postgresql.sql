-- Version 0.1.0 on PostgreSQL, as `pg_dump --inserts` wrote it, without settings of the session: the same exports.
CREATE FUNCTION public.audit_event_is_append_only() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'audit_event is append-only'; END $$;
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.approval (
    id character varying(32) NOT NULL,
    export_id character varying(32) NOT NULL,
    cause character varying(32) NOT NULL,
    state character varying(16) NOT NULL,
    asked_by character varying(200) NOT NULL,
    asked_at timestamp with time zone NOT NULL,
    decided_by character varying(200),
    decided_at timestamp with time zone,
    reason text,
    basis character varying(32)
);
CREATE TABLE public.attestation (
    id character varying(32) NOT NULL,
    export_id character varying(32) NOT NULL,
    token text NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE TABLE public.audit_event (
    id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    actor character varying(200) NOT NULL,
    action character varying(64) NOT NULL,
    export_id character varying(32),
    detail jsonb NOT NULL,
    prev_hash character varying(64) NOT NULL,
    hash character varying(64) NOT NULL
);
CREATE SEQUENCE public.audit_event_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.audit_event_id_seq OWNED BY public.audit_event.id;
CREATE TABLE public.audit_head (
    id integer NOT NULL,
    event_id bigint NOT NULL,
    hash character varying(64) NOT NULL
);
CREATE SEQUENCE public.audit_head_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.audit_head_id_seq OWNED BY public.audit_head.id;
CREATE TABLE public.authorisation (
    id character varying(32) NOT NULL,
    recipient_id character varying(32) NOT NULL,
    subject_kind character varying(16) NOT NULL,
    subject_id character varying(200) NOT NULL,
    subject_ref character varying(32) NOT NULL,
    tenant character varying(200),
    datasets jsonb NOT NULL,
    once boolean NOT NULL,
    expires_at timestamp with time zone,
    evidence character varying(200),
    created_by character varying(200) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    revoked_by character varying(200),
    revoked_at timestamp with time zone
);
CREATE TABLE public.code (
    id character varying(32) NOT NULL,
    link_id character varying(32) NOT NULL,
    kid character varying(64) NOT NULL,
    nonce character varying(64) NOT NULL,
    attempts integer NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone
);
CREATE TABLE public.deadline_event (
    id bigint NOT NULL,
    export_id character varying(32) NOT NULL,
    kind character varying(16) NOT NULL,
    reason text,
    actor character varying(200) NOT NULL,
    at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.deadline_event_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.deadline_event_id_seq OWNED BY public.deadline_event.id;
CREATE TABLE public.deleted_volume (
    id bigint NOT NULL,
    export_id character varying(32) NOT NULL,
    number integer NOT NULL,
    bytes bigint NOT NULL,
    sha256 character varying(64) NOT NULL,
    why character varying(16) NOT NULL,
    deleted_at timestamp with time zone NOT NULL,
    attestation_id character varying(32)
);
CREATE SEQUENCE public.deleted_volume_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.deleted_volume_id_seq OWNED BY public.deleted_volume.id;
CREATE TABLE public.deployment (
    id integer NOT NULL,
    pairwise_salt character varying(64) NOT NULL,
    store_id character varying(64),
    created_at timestamp with time zone NOT NULL,
    swept_at timestamp with time zone
);
CREATE SEQUENCE public.deployment_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.deployment_id_seq OWNED BY public.deployment.id;
CREATE TABLE public.erasure (
    id character varying(32) NOT NULL,
    subject_kind character varying(16) NOT NULL,
    subject_id character varying(200),
    tenant character varying(200),
    reason text,
    state character varying(16) NOT NULL,
    begun_at timestamp with time zone NOT NULL,
    begun_by character varying(200) NOT NULL,
    ended_at timestamp with time zone,
    exports integer NOT NULL,
    volumes integer NOT NULL,
    bytes bigint NOT NULL
);
CREATE TABLE public.export (
    id character varying(32) NOT NULL,
    profile character varying(16) NOT NULL,
    subject_kind character varying(16) NOT NULL,
    subject_id character varying(200) NOT NULL,
    subject_ref character varying(32) NOT NULL,
    tenant character varying(200),
    include jsonb,
    formats jsonb NOT NULL,
    since timestamp with time zone,
    until timestamp with time zone,
    require_complete boolean NOT NULL,
    reason text,
    channel character varying(32) NOT NULL,
    requested_by character varying(200) NOT NULL,
    received_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    state character varying(16) NOT NULL,
    complete boolean,
    error_code character varying(64),
    error_message text,
    began_at timestamp with time zone,
    ended_at timestamp with time zone,
    cancel_requested_at timestamp with time zone,
    volume_counter integer NOT NULL,
    revision integer NOT NULL,
    open_slices integer DEFAULT 0 NOT NULL,
    mandate_id character varying(32),
    pseudonym_key character varying(64),
    notice_ends_at timestamp with time zone,
    erased_at timestamp with time zone
);
CREATE TABLE public.gap (
    id bigint NOT NULL,
    export_id character varying(32) NOT NULL,
    volume integer NOT NULL,
    exporter character varying(100) NOT NULL,
    dataset character varying(100) NOT NULL,
    what text NOT NULL,
    reason character varying(64) NOT NULL,
    retryable boolean NOT NULL,
    resume jsonb
);
CREATE SEQUENCE public.gap_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.gap_id_seq OWNED BY public.gap.id;
CREATE TABLE public.idempotency_key (
    digest character varying(64) NOT NULL,
    request_sha256 character varying(64) NOT NULL,
    export_id character varying(32) NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE TABLE public.incident (
    kind character varying(64) NOT NULL,
    count bigint NOT NULL,
    last_at timestamp with time zone NOT NULL
);
CREATE TABLE public.instruction (
    id character varying(32) NOT NULL,
    tenant character varying(200) NOT NULL,
    contact_id character varying(200),
    exporters jsonb,
    created_at timestamp with time zone NOT NULL,
    created_by character varying(200) NOT NULL,
    withdrawn_at timestamp with time zone,
    withdrawn_by character varying(200),
    delivery character varying(16) DEFAULT 'subject'::character varying NOT NULL
);
CREATE TABLE public.ledger (
    export_id character varying(32) NOT NULL,
    ordinal integer NOT NULL,
    exporter character varying(100) NOT NULL,
    dataset character varying(100) NOT NULL,
    title character varying(200) NOT NULL,
    state character varying(20) NOT NULL,
    reason text,
    tenants jsonb,
    expected_records bigint,
    expected_bytes bigint,
    records bigint NOT NULL,
    files bigint NOT NULL,
    bytes bigint NOT NULL,
    gaps bigint NOT NULL,
    reading_began_at timestamp with time zone,
    reading_ended_at timestamp with time zone,
    open_slices integer DEFAULT 0 NOT NULL,
    redactions jsonb,
    findings jsonb
);
CREATE TABLE public.legal_hold (
    id character varying(32) NOT NULL,
    subject_kind character varying(16) NOT NULL,
    subject_id character varying(200) NOT NULL,
    tenant character varying(200),
    reason text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by character varying(200) NOT NULL,
    until timestamp with time zone,
    released_at timestamp with time zone,
    released_by character varying(200)
);
CREATE TABLE public.link (
    id character varying(32) NOT NULL,
    export_id character varying(32) NOT NULL,
    token_sha256 character varying(64) NOT NULL,
    audience character varying(16) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by character varying(200) NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    revoked_by character varying(200),
    transfer_id character varying(32)
);
CREATE TABLE public.link_claim (
    id bigint NOT NULL,
    link_id character varying(32) NOT NULL,
    volume integer NOT NULL,
    claim_sha256 character varying(64) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    downloaded_at timestamp with time zone
);
CREATE SEQUENCE public.link_claim_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.link_claim_id_seq OWNED BY public.link_claim.id;
CREATE TABLE public.mandate (
    id character varying(32) NOT NULL,
    agent character varying(200) NOT NULL,
    subject_kind character varying(16) NOT NULL,
    subject_id character varying(200) NOT NULL,
    tenant character varying(200),
    scope jsonb NOT NULL,
    issuer character varying(200) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by character varying(200) NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone
);
CREATE TABLE public.notification (
    id character varying(40) NOT NULL,
    export_id character varying(32) NOT NULL,
    kind character varying(16) NOT NULL,
    occasion character varying(64) NOT NULL,
    language character varying(16),
    state character varying(16) NOT NULL,
    reason character varying(64),
    attempts integer NOT NULL,
    not_before timestamp with time zone,
    lease_until timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    sent_at timestamp with time zone
);
CREATE TABLE public.pseudonym (
    export_id character varying(32) NOT NULL,
    kind character varying(16) NOT NULL,
    digest character varying(64) NOT NULL,
    number integer NOT NULL
);
CREATE TABLE public.recall (
    id character varying(32) NOT NULL,
    export_id character varying(32) NOT NULL,
    reason text NOT NULL,
    opened_by character varying(200) NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    gdpr_due_at timestamp with time zone NOT NULL,
    pdp_due_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    closed_by character varying(200),
    outcome text
);
CREATE TABLE public.recipient (
    id character varying(32) NOT NULL,
    name character varying(200) NOT NULL,
    domain character varying(253) NOT NULL,
    country character varying(2) NOT NULL,
    mechanism character varying(16) NOT NULL,
    safeguard character varying(200),
    age_key character varying(100) NOT NULL,
    jwks_url text NOT NULL,
    webhook_url text NOT NULL,
    webhook_kid character varying(64) NOT NULL,
    datasets jsonb,
    created_by character varying(200) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    approved_by character varying(200),
    approved_at timestamp with time zone,
    removed_by character varying(200),
    removed_at timestamp with time zone
);
CREATE TABLE public.signing_key (
    kid character varying(64) NOT NULL,
    purpose character varying(16) NOT NULL,
    public_jwk jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    retired_at timestamp with time zone,
    revoked_at timestamp with time zone
);
CREATE TABLE public.slice (
    export_id character varying(32) NOT NULL,
    number integer NOT NULL,
    tenant character varying(200) NOT NULL,
    state character varying(16) NOT NULL,
    large boolean NOT NULL,
    version integer NOT NULL,
    readings jsonb,
    "position" jsonb,
    progress jsonb,
    owner character varying(200),
    fence bigint NOT NULL,
    lease_until timestamp with time zone,
    claimed_at timestamp with time zone,
    attempts integer NOT NULL,
    not_before timestamp with time zone,
    woken_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL
);
CREATE TABLE public.subject_ref (
    digest character varying(64) NOT NULL,
    ref character varying(32) NOT NULL
);
CREATE TABLE public.transfer (
    id character varying(32) NOT NULL,
    export_id character varying(32) NOT NULL,
    recipient_id character varying(32) NOT NULL,
    authorisation_id character varying(32) NOT NULL,
    state character varying(16) NOT NULL,
    revision integer,
    statement text,
    error_code character varying(64),
    created_by character varying(200) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    offered_at timestamp with time zone,
    expires_at timestamp with time zone,
    ended_at timestamp with time zone,
    owner character varying(200),
    fence bigint NOT NULL,
    lease_until timestamp with time zone,
    claimed_at timestamp with time zone,
    attempts integer NOT NULL,
    not_before timestamp with time zone,
    woken_at timestamp with time zone
);
CREATE TABLE public.transfer_copy (
    id bigint NOT NULL,
    transfer_id character varying(32) NOT NULL,
    number integer NOT NULL,
    name character varying(100) NOT NULL,
    plain_bytes bigint NOT NULL,
    plain_sha256 character varying(64) NOT NULL,
    fence bigint NOT NULL,
    state character varying(16) NOT NULL,
    object_key character varying(200) NOT NULL,
    upload_id text NOT NULL,
    bytes bigint,
    sha256 character varying(64),
    began_at timestamp with time zone NOT NULL,
    stored_at timestamp with time zone
);
CREATE SEQUENCE public.transfer_copy_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.transfer_copy_id_seq OWNED BY public.transfer_copy.id;
CREATE TABLE public.transfer_receipt (
    id bigint NOT NULL,
    transfer_id character varying(32) NOT NULL,
    recipient_id character varying(32) NOT NULL,
    jti character varying(200) NOT NULL,
    status character varying(16) NOT NULL,
    code character varying(64),
    volumes integer NOT NULL,
    receipt text NOT NULL,
    received_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.transfer_receipt_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.transfer_receipt_id_seq OWNED BY public.transfer_receipt.id;
CREATE TABLE public.turn (
    tenant character varying(200) NOT NULL,
    served_at timestamp with time zone
);
CREATE TABLE public.volume (
    id bigint NOT NULL,
    export_id character varying(32) NOT NULL,
    number integer NOT NULL,
    fence bigint NOT NULL,
    state character varying(16) NOT NULL,
    object_key character varying(200) NOT NULL,
    upload_id text NOT NULL,
    closing boolean NOT NULL,
    name character varying(100) NOT NULL,
    bytes bigint,
    sha256 character varying(64),
    tagmanifest_sha256 character varying(64),
    files bigint,
    payload_bytes bigint,
    began_at timestamp with time zone NOT NULL,
    stored_at timestamp with time zone,
    slice integer DEFAULT 0 NOT NULL,
    revision integer DEFAULT 1 NOT NULL
);
CREATE SEQUENCE public.volume_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.volume_id_seq OWNED BY public.volume.id;
CREATE TABLE public.webhook (
    id character varying(40) NOT NULL,
    transfer_id character varying(32) NOT NULL,
    kind character varying(32) NOT NULL,
    state character varying(16) NOT NULL,
    kid character varying(64) NOT NULL,
    sealed text,
    reason character varying(64),
    attempts integer NOT NULL,
    not_before timestamp with time zone,
    lease_until timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    sent_at timestamp with time zone
);
ALTER TABLE ONLY public.audit_event ALTER COLUMN id SET DEFAULT nextval('public.audit_event_id_seq'::regclass);
ALTER TABLE ONLY public.audit_head ALTER COLUMN id SET DEFAULT nextval('public.audit_head_id_seq'::regclass);
ALTER TABLE ONLY public.deadline_event ALTER COLUMN id SET DEFAULT nextval('public.deadline_event_id_seq'::regclass);
ALTER TABLE ONLY public.deleted_volume ALTER COLUMN id SET DEFAULT nextval('public.deleted_volume_id_seq'::regclass);
ALTER TABLE ONLY public.deployment ALTER COLUMN id SET DEFAULT nextval('public.deployment_id_seq'::regclass);
ALTER TABLE ONLY public.gap ALTER COLUMN id SET DEFAULT nextval('public.gap_id_seq'::regclass);
ALTER TABLE ONLY public.link_claim ALTER COLUMN id SET DEFAULT nextval('public.link_claim_id_seq'::regclass);
ALTER TABLE ONLY public.transfer_copy ALTER COLUMN id SET DEFAULT nextval('public.transfer_copy_id_seq'::regclass);
ALTER TABLE ONLY public.transfer_receipt ALTER COLUMN id SET DEFAULT nextval('public.transfer_receipt_id_seq'::regclass);
ALTER TABLE ONLY public.volume ALTER COLUMN id SET DEFAULT nextval('public.volume_id_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('0001_first_schema');
INSERT INTO public.audit_event VALUES (1, '2026-11-27 07:13:24.698846+00', 'operator:test', 'key.created', NULL, '{"kid": "archive-20261127-b3d1c4e1"}', '0000000000000000000000000000000000000000000000000000000000000000', '8c7cf61600b33389dd698864de91d3c4440aef7645ba8823b7318886efab7fa1');
INSERT INTO public.audit_event VALUES (2, '2026-11-27 07:13:24.733069+00', 'operator:test', 'request.accepted', 'c2fmmcuxzcbrpokautcnvx7g', '{"kind": "user", "channel": "cli", "profile": "access", "subject": "sub_vwtsyu4um7s4fcgqiibtayx6vx"}', '8c7cf61600b33389dd698864de91d3c4440aef7645ba8823b7318886efab7fa1', '64a26fa5962d501338c82905e8ef1c005baec9b6cf8446166a377af726263a82');
INSERT INTO public.audit_event VALUES (3, '2026-11-27 07:13:25.398646+00', 'worker', 'export.ready', 'c2fmmcuxzcbrpokautcnvx7g', '{"code": null}', '64a26fa5962d501338c82905e8ef1c005baec9b6cf8446166a377af726263a82', '25790e5d87ef085d8baf76414b8656fda7f13d2f4c3fd4e88e632e01570415b6');
INSERT INTO public.audit_event VALUES (4, '2026-11-27 07:13:25.431551+00', 'operator:test', 'request.accepted', 'z2bwl6mz7sd23oyj3ibwcnd5', '{"kind": "user", "channel": "cli", "profile": "access", "subject": "sub_6a4wtex2t2p4mt53o7f6bgqgcd"}', '25790e5d87ef085d8baf76414b8656fda7f13d2f4c3fd4e88e632e01570415b6', 'bfb0aa2e1aa459dc08fd4e64f4ff78c03afd4edca85d0dbf424c97cbfd51abfe');
INSERT INTO public.audit_event VALUES (5, '2026-11-27 07:13:25.777812+00', 'operator:test', 'request.accepted', 'vsd253lukofaswjtuu57hryn', '{"kind": "user", "channel": "cli", "profile": "access", "subject": "sub_2ub4swcg47t7afcvsvncpifjhf"}', 'bfb0aa2e1aa459dc08fd4e64f4ff78c03afd4edca85d0dbf424c97cbfd51abfe', '9e457561b8b1e8b302f711d340f8ca06303fb5569ef062e2942e03e7905d85ab');
INSERT INTO public.audit_head VALUES (1, 5, '9e457561b8b1e8b302f711d340f8ca06303fb5569ef062e2942e03e7905d85ab');
INSERT INTO public.deployment VALUES (1, 'c3a51140fd341eefd8305ee86737bf95497fec42d4b87cab980e02e04f83107c', NULL, '2026-11-27 07:13:24.675811+00', NULL);
INSERT INTO public.export VALUES ('c2fmmcuxzcbrpokautcnvx7g', 'access', 'user', 'usr_1', 'sub_vwtsyu4um7s4fcgqiibtayx6vx', NULL, 'null', '["jsonl", "csv", "vcon"]', NULL, NULL, false, NULL, 'cli', 'operator:test', '2026-11-27 07:13:24.70465+00', '2026-11-30 07:13:24.70465+00', '2026-11-27 07:13:24.720721+00', 'ready', true, NULL, NULL, '2026-11-27 07:13:24.80111+00', '2026-11-27 07:13:25.393302+00', NULL, 3, 1, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.export VALUES ('z2bwl6mz7sd23oyj3ibwcnd5', 'access', 'user', 'usr_2', 'sub_6a4wtex2t2p4mt53o7f6bgqgcd', NULL, 'null', '["jsonl", "csv", "vcon"]', NULL, NULL, false, NULL, 'cli', 'operator:test', '2026-11-27 07:13:25.423647+00', '2026-11-30 07:13:25.423647+00', '2026-11-27 07:13:25.427172+00', 'running', NULL, NULL, NULL, '2026-11-27 07:13:25.448514+00', NULL, NULL, 2, 1, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.export VALUES ('vsd253lukofaswjtuu57hryn', 'access', 'user', 'usr_3', 'sub_2ub4swcg47t7afcvsvncpifjhf', NULL, 'null', '["jsonl", "csv", "vcon"]', NULL, NULL, false, NULL, 'cli', 'operator:test', '2026-11-27 07:13:25.759642+00', '2026-11-30 07:13:25.759642+00', '2026-11-27 07:13:25.769478+00', 'queued', NULL, NULL, NULL, NULL, NULL, NULL, 0, 1, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.ledger VALUES ('c2fmmcuxzcbrpokautcnvx7g', 0, 'made', 'first', 'First', 'complete', NULL, 'null', NULL, NULL, 3000, 0, 522798, 0, '2026-11-27 07:13:25.005855+00', '2026-11-27 07:13:25.136664+00', 0, 'null', 'null');
INSERT INTO public.ledger VALUES ('c2fmmcuxzcbrpokautcnvx7g', 1, 'made', 'second', 'Second', 'complete', NULL, 'null', NULL, NULL, 3000, 0, 522798, 0, '2026-11-27 07:13:25.136689+00', '2026-11-27 07:13:25.310058+00', 0, 'null', 'null');
INSERT INTO public.ledger VALUES ('z2bwl6mz7sd23oyj3ibwcnd5', 0, 'made', 'first', 'First', 'complete', NULL, 'null', NULL, NULL, 3000, 0, 522798, 0, '2026-11-27 07:13:25.473257+00', '2026-11-27 07:13:25.621633+00', 0, 'null', 'null');
INSERT INTO public.ledger VALUES ('z2bwl6mz7sd23oyj3ibwcnd5', 1, 'made', 'second', 'Second', 'pending', NULL, 'null', NULL, NULL, 2820, 0, 491289, 0, '2026-11-27 07:13:25.621713+00', NULL, 1, 'null', 'null');
INSERT INTO public.notification VALUES ('ntf_07c2708b4f8e7060872e509e4f59e2ea', 'c2fmmcuxzcbrpokautcnvx7g', 'acknowledged', '1.1', NULL, 'queued', NULL, 0, NULL, NULL, '2026-11-27 07:13:24.745499+00', NULL);
INSERT INTO public.notification VALUES ('ntf_b127945ce94a304225fa32e8c2ebba42', 'c2fmmcuxzcbrpokautcnvx7g', 'ready', '1.1', NULL, 'queued', NULL, 0, NULL, NULL, '2026-11-27 07:13:25.397789+00', NULL);
INSERT INTO public.notification VALUES ('ntf_e8de9b7e57a6b1cb668e0fad97ce0ed4', 'z2bwl6mz7sd23oyj3ibwcnd5', 'acknowledged', '1.1', NULL, 'queued', NULL, 0, NULL, NULL, '2026-11-27 07:13:25.435032+00', NULL);
INSERT INTO public.notification VALUES ('ntf_de284e46f6da32208de5551df707b5c3', 'vsd253lukofaswjtuu57hryn', 'acknowledged', '1.1', NULL, 'queued', NULL, 0, NULL, NULL, '2026-11-27 07:13:25.780303+00', NULL);
INSERT INTO public.signing_key VALUES ('archive-20261127-b3d1c4e1', 'archive', '{"x": "sSARmB6CKr5ZKx2g_ZPz4I_Pvy5H9_T5bArDLbhZHqo", "y": "jb7QJ0qsKbpP_9kIzbWICuEMt3QbOSZzXKf3khWMgGg", "alg": "ES256", "crv": "P-256", "kid": "archive-20261127-b3d1c4e1", "kty": "EC", "use": "sig"}', '2026-11-27 07:13:24.69153+00', NULL, NULL);
INSERT INTO public.slice VALUES ('c2fmmcuxzcbrpokautcnvx7g', 0, '', 'done', true, 1, '[{"ordinal": 0}, {"ordinal": 1}]', '{"after": "2820", "files": null, "piece": 1, "reading": 1}', 'null', NULL, 3, NULL, '2026-11-27 07:13:25.280691+00', 1, NULL, NULL, '2026-11-27 07:13:24.730712+00');
INSERT INTO public.slice VALUES ('z2bwl6mz7sd23oyj3ibwcnd5', 0, '', 'open', true, 1, '[{"ordinal": 0}, {"ordinal": 1}]', '{"after": "2820", "files": null, "piece": 1, "reading": 1}', 'null', NULL, 2, NULL, '2026-11-27 07:13:25.588427+00', 0, NULL, NULL, '2026-11-27 07:13:25.428638+00');
INSERT INTO public.slice VALUES ('vsd253lukofaswjtuu57hryn', 0, '', 'open', false, 1, NULL, NULL, NULL, NULL, 0, NULL, NULL, 0, NULL, NULL, '2026-11-27 07:13:25.777278+00');
INSERT INTO public.subject_ref VALUES ('ba426c2c7b3a5fcabb1a83718abf104b130abf3ecb6b460ddb4ab9a90b73307e', 'sub_vwtsyu4um7s4fcgqiibtayx6vx');
INSERT INTO public.subject_ref VALUES ('496ddcba2a77e33c07955507e8ff59679eecae58d549b45df9eeeae6834727c2', 'sub_6a4wtex2t2p4mt53o7f6bgqgcd');
INSERT INTO public.subject_ref VALUES ('5688ae012102ad38b457b625f87f656ff3694aa3648262e804df5b3210c91fc4', 'sub_2ub4swcg47t7afcvsvncpifjhf');
INSERT INTO public.turn VALUES ('', '2026-11-27 07:13:25.589269+00');
INSERT INTO public.volume VALUES (1, 'c2fmmcuxzcbrpokautcnvx7g', 1, 1, 'stored', 'c2fmmcuxzcbrpokautcnvx7g/00001.1.44a2924f.zip', '6b092d94-b82b059e257334f7', false, 'vlint-export-c2fmmcuxzcbrpokautcnvx7g-001', 231566, 'fe4fefb41d27588f00d59c8d8398eba66847b559d36a7e91891907c503e4f504', 'b0ab4558dc32dcf43d8bc81e6ca4a4bef0c4b0b00d03c089514c1498fc761dbe', 2, 491289, '2026-11-27 07:13:24.879792+00', '2026-11-27 07:13:25.074838+00', 0, 1);
INSERT INTO public.volume VALUES (2, 'c2fmmcuxzcbrpokautcnvx7g', 2, 2, 'stored', 'c2fmmcuxzcbrpokautcnvx7g/00002.2.a843b74e.zip', '6b092d95-aa3017c49b1d0315', false, 'vlint-export-c2fmmcuxzcbrpokautcnvx7g-002', 246867, '9e834d9b88ffdf462cb57fdeb80ab38fe387240ed204bf8cd67400cac8143745', '7156872d236113e09d1217b32c06f643c13bf0f78a493252c24b5ab32f77e936', 4, 522798, '2026-11-27 07:13:25.113267+00', '2026-11-27 07:13:25.258234+00', 0, 1);
INSERT INTO public.volume VALUES (3, 'c2fmmcuxzcbrpokautcnvx7g', 3, 3, 'stored', 'c2fmmcuxzcbrpokautcnvx7g/00003.3.85d69226.zip', '6b092d95-d081a44004a0076b', true, 'vlint-export-c2fmmcuxzcbrpokautcnvx7g-003', 242444, '148cf23e9e78c58fc754ec9a963b3fda842da6d6cf5230d533ca37dba034e025', 'f0f34cda2d5ea84f5126f3f6c146791ad3ce5e2f4ec891839f9f3f23c20b561b', 2, 31509, '2026-11-27 07:13:25.296697+00', '2026-11-27 07:13:25.383748+00', 0, 1);
INSERT INTO public.volume VALUES (4, 'z2bwl6mz7sd23oyj3ibwcnd5', 1, 1, 'stored', 'z2bwl6mz7sd23oyj3ibwcnd5/00001.1.4dbc8e1a.zip', '6b092d95-2f2e2342ca8e84a3', false, 'vlint-export-z2bwl6mz7sd23oyj3ibwcnd5-001', 231571, '31ed6b1953e18fbaa7007b4edd971cfcf039cf60030a22749950fdfc434a34fa', '32a56b0a32274fb7564dae27181c5bce7a0d51da278c83b7f758db2344a34db4', 2, 491289, '2026-11-27 07:13:25.461531+00', '2026-11-27 07:13:25.561226+00', 0, 1);
INSERT INTO public.volume VALUES (5, 'z2bwl6mz7sd23oyj3ibwcnd5', 2, 2, 'stored', 'z2bwl6mz7sd23oyj3ibwcnd5/00002.2.c0fa779f.zip', '6b092d95-8295bbfec7062d84', false, 'vlint-export-z2bwl6mz7sd23oyj3ibwcnd5-002', 246871, '6afaedb1c90002573e7e0c5d6cfa3a86decec8435f504b8704f697a6239225f3', 'ed94f6edb7be94ff7724467322894fdb40f4779cc2560b0fa16b6793851c87de', 4, 522798, '2026-11-27 07:13:25.608825+00', '2026-11-27 07:13:25.734525+00', 0, 1);
SELECT pg_catalog.setval('public.audit_event_id_seq', 1, false);
SELECT pg_catalog.setval('public.audit_head_id_seq', 1, false);
SELECT pg_catalog.setval('public.deadline_event_id_seq', 1, false);
SELECT pg_catalog.setval('public.deleted_volume_id_seq', 1, false);
SELECT pg_catalog.setval('public.deployment_id_seq', 1, false);
SELECT pg_catalog.setval('public.gap_id_seq', 1, false);
SELECT pg_catalog.setval('public.link_claim_id_seq', 1, false);
SELECT pg_catalog.setval('public.transfer_copy_id_seq', 1, false);
SELECT pg_catalog.setval('public.transfer_receipt_id_seq', 1, false);
SELECT pg_catalog.setval('public.volume_id_seq', 5, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.approval
    ADD CONSTRAINT approval_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.attestation
    ADD CONSTRAINT attestation_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.audit_event
    ADD CONSTRAINT audit_event_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.audit_event
    ADD CONSTRAINT audit_event_prev_hash_key UNIQUE (prev_hash);
ALTER TABLE ONLY public.audit_head
    ADD CONSTRAINT audit_head_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.authorisation
    ADD CONSTRAINT authorisation_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.code
    ADD CONSTRAINT code_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.deadline_event
    ADD CONSTRAINT deadline_event_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.deleted_volume
    ADD CONSTRAINT deleted_volume_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.deployment
    ADD CONSTRAINT deployment_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.erasure
    ADD CONSTRAINT erasure_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.export
    ADD CONSTRAINT export_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gap
    ADD CONSTRAINT gap_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.idempotency_key
    ADD CONSTRAINT idempotency_key_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.incident
    ADD CONSTRAINT incident_pkey PRIMARY KEY (kind);
ALTER TABLE ONLY public.instruction
    ADD CONSTRAINT instruction_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.ledger
    ADD CONSTRAINT ledger_pkey PRIMARY KEY (export_id, ordinal);
ALTER TABLE ONLY public.legal_hold
    ADD CONSTRAINT legal_hold_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.link_claim
    ADD CONSTRAINT link_claim_claim_sha256_key UNIQUE (claim_sha256);
ALTER TABLE ONLY public.link_claim
    ADD CONSTRAINT link_claim_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.link
    ADD CONSTRAINT link_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.link
    ADD CONSTRAINT link_token_sha256_key UNIQUE (token_sha256);
ALTER TABLE ONLY public.mandate
    ADD CONSTRAINT mandate_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.notification
    ADD CONSTRAINT notification_export_id_kind_occasion_key UNIQUE (export_id, kind, occasion);
ALTER TABLE ONLY public.notification
    ADD CONSTRAINT notification_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.pseudonym
    ADD CONSTRAINT pseudonym_export_id_kind_number_key UNIQUE (export_id, kind, number);
ALTER TABLE ONLY public.pseudonym
    ADD CONSTRAINT pseudonym_pkey PRIMARY KEY (export_id, kind, digest);
ALTER TABLE ONLY public.recall
    ADD CONSTRAINT recall_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.recipient
    ADD CONSTRAINT recipient_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.signing_key
    ADD CONSTRAINT signing_key_pkey PRIMARY KEY (kid);
ALTER TABLE ONLY public.slice
    ADD CONSTRAINT slice_pkey PRIMARY KEY (export_id, number);
ALTER TABLE ONLY public.subject_ref
    ADD CONSTRAINT subject_ref_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.subject_ref
    ADD CONSTRAINT subject_ref_ref_key UNIQUE (ref);
ALTER TABLE ONLY public.transfer_copy
    ADD CONSTRAINT transfer_copy_object_key_key UNIQUE (object_key);
ALTER TABLE ONLY public.transfer_copy
    ADD CONSTRAINT transfer_copy_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.transfer
    ADD CONSTRAINT transfer_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.transfer_receipt
    ADD CONSTRAINT transfer_receipt_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.transfer_receipt
    ADD CONSTRAINT transfer_receipt_recipient_id_jti_key UNIQUE (recipient_id, jti);
ALTER TABLE ONLY public.turn
    ADD CONSTRAINT turn_pkey PRIMARY KEY (tenant);
ALTER TABLE ONLY public.volume
    ADD CONSTRAINT volume_object_key_key UNIQUE (object_key);
ALTER TABLE ONLY public.volume
    ADD CONSTRAINT volume_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.webhook
    ADD CONSTRAINT webhook_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.webhook
    ADD CONSTRAINT webhook_transfer_id_kind_key UNIQUE (transfer_id, kind);
CREATE INDEX approval_export_id_idx ON public.approval USING btree (export_id);
CREATE INDEX approval_state_idx ON public.approval USING btree (state);
CREATE INDEX attestation_export_id_idx ON public.attestation USING btree (export_id);
CREATE INDEX audit_event_export_id_idx ON public.audit_event USING btree (export_id);
CREATE INDEX authorisation_subject_ref_idx ON public.authorisation USING btree (subject_ref);
CREATE INDEX code_link_id_created_at_idx ON public.code USING btree (link_id, created_at);
CREATE INDEX deadline_event_export_id_idx ON public.deadline_event USING btree (export_id);
CREATE INDEX deadline_event_kind_idx ON public.deadline_event USING btree (kind);
CREATE INDEX deleted_volume_attestation_id_idx ON public.deleted_volume USING btree (attestation_id);
CREATE INDEX deleted_volume_export_id_idx ON public.deleted_volume USING btree (export_id);
CREATE INDEX erasure_state_idx ON public.erasure USING btree (state);
CREATE INDEX export_state_idx ON public.export USING btree (state);
CREATE INDEX export_subject_ref_idx ON public.export USING btree (subject_ref);
CREATE INDEX gap_export_id_idx ON public.gap USING btree (export_id);
CREATE INDEX idempotency_key_created_at_idx ON public.idempotency_key USING btree (created_at);
CREATE INDEX instruction_tenant_idx ON public.instruction USING btree (tenant);
CREATE INDEX legal_hold_subject_id_idx ON public.legal_hold USING btree (subject_id);
CREATE INDEX link_claim_link_id_volume_idx ON public.link_claim USING btree (link_id, volume);
CREATE INDEX link_export_id_idx ON public.link USING btree (export_id);
CREATE INDEX mandate_agent_idx ON public.mandate USING btree (agent);
CREATE INDEX notification_state_created_at_idx ON public.notification USING btree (state, created_at);
CREATE INDEX recall_export_id_idx ON public.recall USING btree (export_id);
CREATE INDEX recipient_domain_idx ON public.recipient USING btree (domain);
CREATE INDEX slice_lease_until_idx ON public.slice USING btree (lease_until);
CREATE INDEX slice_tenant_state_idx ON public.slice USING btree (tenant, state);
CREATE INDEX transfer_copy_transfer_id_number_idx ON public.transfer_copy USING btree (transfer_id, number);
CREATE INDEX transfer_export_id_idx ON public.transfer USING btree (export_id);
CREATE INDEX transfer_receipt_transfer_id_idx ON public.transfer_receipt USING btree (transfer_id);
CREATE INDEX transfer_state_idx ON public.transfer USING btree (state);
CREATE INDEX volume_export_id_number_idx ON public.volume USING btree (export_id, number);
CREATE INDEX webhook_state_created_at_idx ON public.webhook USING btree (state, created_at);
CREATE TRIGGER audit_event_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_event FOR EACH STATEMENT EXECUTE FUNCTION public.audit_event_is_append_only();
ALTER TABLE ONLY public.approval
    ADD CONSTRAINT approval_export_id_fkey FOREIGN KEY (export_id) REFERENCES public.export(id);
ALTER TABLE ONLY public.attestation
    ADD CONSTRAINT attestation_export_id_fkey FOREIGN KEY (export_id) REFERENCES public.export(id);
ALTER TABLE ONLY public.authorisation
    ADD CONSTRAINT authorisation_recipient_id_fkey FOREIGN KEY (recipient_id) REFERENCES public.recipient(id);
ALTER TABLE ONLY public.code
    ADD CONSTRAINT code_link_id_fkey FOREIGN KEY (link_id) REFERENCES public.link(id);
ALTER TABLE ONLY public.deadline_event
    ADD CONSTRAINT deadline_event_export_id_fkey FOREIGN KEY (export_id) REFERENCES public.export(id);
ALTER TABLE ONLY public.deleted_volume
    ADD CONSTRAINT deleted_volume_attestation_id_fkey FOREIGN KEY (attestation_id) REFERENCES public.attestation(id);
ALTER TABLE ONLY public.deleted_volume
    ADD CONSTRAINT deleted_volume_export_id_fkey FOREIGN KEY (export_id) REFERENCES public.export(id);
ALTER TABLE ONLY public.gap
    ADD CONSTRAINT gap_export_id_fkey FOREIGN KEY (export_id) REFERENCES public.export(id);
ALTER TABLE ONLY public.idempotency_key
    ADD CONSTRAINT idempotency_key_export_id_fkey FOREIGN KEY (export_id) REFERENCES public.export(id);
ALTER TABLE ONLY public.ledger
    ADD CONSTRAINT ledger_export_id_fkey FOREIGN KEY (export_id) REFERENCES public.export(id);
ALTER TABLE ONLY public.link_claim
    ADD CONSTRAINT link_claim_link_id_fkey FOREIGN KEY (link_id) REFERENCES public.link(id);
ALTER TABLE ONLY public.link
    ADD CONSTRAINT link_export_id_fkey FOREIGN KEY (export_id) REFERENCES public.export(id);
ALTER TABLE ONLY public.notification
    ADD CONSTRAINT notification_export_id_fkey FOREIGN KEY (export_id) REFERENCES public.export(id);
ALTER TABLE ONLY public.pseudonym
    ADD CONSTRAINT pseudonym_export_id_fkey FOREIGN KEY (export_id) REFERENCES public.export(id);
ALTER TABLE ONLY public.recall
    ADD CONSTRAINT recall_export_id_fkey FOREIGN KEY (export_id) REFERENCES public.export(id);
ALTER TABLE ONLY public.slice
    ADD CONSTRAINT slice_export_id_fkey FOREIGN KEY (export_id) REFERENCES public.export(id);
ALTER TABLE ONLY public.transfer
    ADD CONSTRAINT transfer_authorisation_id_fkey FOREIGN KEY (authorisation_id) REFERENCES public.authorisation(id);
ALTER TABLE ONLY public.transfer_copy
    ADD CONSTRAINT transfer_copy_transfer_id_fkey FOREIGN KEY (transfer_id) REFERENCES public.transfer(id);
ALTER TABLE ONLY public.transfer
    ADD CONSTRAINT transfer_export_id_fkey FOREIGN KEY (export_id) REFERENCES public.export(id);
ALTER TABLE ONLY public.transfer_receipt
    ADD CONSTRAINT transfer_receipt_recipient_id_fkey FOREIGN KEY (recipient_id) REFERENCES public.recipient(id);
ALTER TABLE ONLY public.transfer_receipt
    ADD CONSTRAINT transfer_receipt_transfer_id_fkey FOREIGN KEY (transfer_id) REFERENCES public.transfer(id);
ALTER TABLE ONLY public.transfer
    ADD CONSTRAINT transfer_recipient_id_fkey FOREIGN KEY (recipient_id) REFERENCES public.recipient(id);
ALTER TABLE ONLY public.volume
    ADD CONSTRAINT volume_export_id_fkey FOREIGN KEY (export_id) REFERENCES public.export(id);
ALTER TABLE ONLY public.webhook
    ADD CONSTRAINT webhook_transfer_id_fkey FOREIGN KEY (transfer_id) REFERENCES public.transfer(id);
