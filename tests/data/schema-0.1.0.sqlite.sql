-- Version 0.1.0 on SQLite, as `sqlite3 control.sqlite .dump` wrote it: an export that is ready, one half-way, one not begun.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO alembic_version VALUES('0001_first_schema');
CREATE TABLE audit_event (
	id INTEGER NOT NULL, 
	at VARCHAR(26) NOT NULL, 
	actor VARCHAR(200) NOT NULL, 
	action VARCHAR(64) NOT NULL, 
	export_id VARCHAR(32), 
	detail JSON NOT NULL, 
	prev_hash VARCHAR(64) NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	CONSTRAINT audit_event_pkey PRIMARY KEY (id), 
	CONSTRAINT audit_event_prev_hash_key UNIQUE (prev_hash)
);
INSERT INTO audit_event VALUES(1,'2026-11-27 07:13:17.174000','operator:test','key.created',NULL,'{"kid": "archive-20261127-4e235ee3"}','0000000000000000000000000000000000000000000000000000000000000000','04f283c4f424a8a0ef484395ff0fc34bbf385828a231db135a601bf2f6bd82b1');
INSERT INTO audit_event VALUES(2,'2026-11-27 07:13:17.208000','operator:test','request.accepted','xj3dpwm6uo3rejvan6qny4ce','{"profile": "access", "subject": "sub_3wp2xuirkwy6dgyvipqspehjoi", "kind": "user", "channel": "cli"}','04f283c4f424a8a0ef484395ff0fc34bbf385828a231db135a601bf2f6bd82b1','1290d24dbbc1afc80bd4c449ed8934996c00b1175c3b6953e9af5243380bca03');
INSERT INTO audit_event VALUES(3,'2026-11-27 07:13:19.124000','worker','export.ready','xj3dpwm6uo3rejvan6qny4ce','{"code": null}','1290d24dbbc1afc80bd4c449ed8934996c00b1175c3b6953e9af5243380bca03','82461e771b02e9b2e3b1e0843768551cd4df39831d115ac3dcabbe6dde99317b');
INSERT INTO audit_event VALUES(4,'2026-11-27 07:13:19.164000','operator:test','request.accepted','mjjrupelym4lkjjkrr67ftod','{"profile": "access", "subject": "sub_lsyjdtbg3m43jqu3w7p4v4h4zf", "kind": "user", "channel": "cli"}','82461e771b02e9b2e3b1e0843768551cd4df39831d115ac3dcabbe6dde99317b','f81dc9f52964d2217626f80182d53c0d3553e9635698075f1ffcd03d67e6004a');
INSERT INTO audit_event VALUES(5,'2026-11-27 07:13:19.662000','operator:test','request.accepted','zzynmen7vcbihgvj3rm4h35g','{"profile": "access", "subject": "sub_hihqeb43pahnevmkftdbdzzkuo", "kind": "user", "channel": "cli"}','f81dc9f52964d2217626f80182d53c0d3553e9635698075f1ffcd03d67e6004a','1da00a6420fbce9adcf5cb7182b026191d5e52c5609b2b9f9b4a12933793d146');
CREATE TABLE audit_head (
	id INTEGER NOT NULL, 
	event_id BIGINT NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	CONSTRAINT audit_head_pkey PRIMARY KEY (id)
);
INSERT INTO audit_head VALUES(1,5,'1da00a6420fbce9adcf5cb7182b026191d5e52c5609b2b9f9b4a12933793d146');
CREATE TABLE deployment (
	id INTEGER NOT NULL, 
	pairwise_salt VARCHAR(64) NOT NULL, 
	store_id VARCHAR(64), 
	created_at VARCHAR(26) NOT NULL, 
	swept_at VARCHAR(26), 
	CONSTRAINT deployment_pkey PRIMARY KEY (id)
);
INSERT INTO deployment VALUES(1,'7e64954459a27fd0b80e2bdb7192dd4c786465d166a1c66c636d43777969514a',NULL,'2026-11-27 07:13:17.152811',NULL);
CREATE TABLE erasure (
	id VARCHAR(32) NOT NULL, 
	subject_kind VARCHAR(16) NOT NULL, 
	subject_id VARCHAR(200), 
	tenant VARCHAR(200), 
	reason TEXT, 
	state VARCHAR(16) NOT NULL, 
	begun_at VARCHAR(26) NOT NULL, 
	begun_by VARCHAR(200) NOT NULL, 
	ended_at VARCHAR(26), 
	exports INTEGER NOT NULL, 
	volumes INTEGER NOT NULL, 
	bytes BIGINT NOT NULL, 
	CONSTRAINT erasure_pkey PRIMARY KEY (id)
);
CREATE TABLE export (
	id VARCHAR(32) NOT NULL, 
	profile VARCHAR(16) NOT NULL, 
	subject_kind VARCHAR(16) NOT NULL, 
	subject_id VARCHAR(200) NOT NULL, 
	subject_ref VARCHAR(32) NOT NULL, 
	tenant VARCHAR(200), 
	include JSON, 
	formats JSON NOT NULL, 
	since VARCHAR(26), 
	until VARCHAR(26), 
	require_complete BOOLEAN NOT NULL, 
	reason TEXT, 
	channel VARCHAR(32) NOT NULL, 
	requested_by VARCHAR(200) NOT NULL, 
	received_at VARCHAR(26) NOT NULL, 
	due_at VARCHAR(26) NOT NULL, 
	created_at VARCHAR(26) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	complete BOOLEAN, 
	error_code VARCHAR(64), 
	error_message TEXT, 
	began_at VARCHAR(26), 
	ended_at VARCHAR(26), 
	cancel_requested_at VARCHAR(26), 
	volume_counter INTEGER NOT NULL, 
	revision INTEGER NOT NULL, 
	open_slices INTEGER DEFAULT '0' NOT NULL, 
	mandate_id VARCHAR(32), 
	pseudonym_key VARCHAR(64), 
	notice_ends_at VARCHAR(26), 
	erased_at VARCHAR(26), 
	CONSTRAINT export_pkey PRIMARY KEY (id)
);
INSERT INTO export VALUES('xj3dpwm6uo3rejvan6qny4ce','access','user','usr_1','sub_3wp2xuirkwy6dgyvipqspehjoi',NULL,'null','["jsonl", "csv", "vcon"]',NULL,NULL,0,NULL,'cli','operator:test','2026-11-27 07:13:17.180077','2026-11-30 07:13:17.180077','2026-11-27 07:13:17.204389','ready',1,NULL,NULL,'2026-11-27 07:13:17.252000','2026-11-27 07:13:19.115000',NULL,3,1,0,NULL,NULL,NULL,NULL);
INSERT INTO export VALUES('mjjrupelym4lkjjkrr67ftod','access','user','usr_2','sub_lsyjdtbg3m43jqu3w7p4v4h4zf',NULL,'null','["jsonl", "csv", "vcon"]',NULL,NULL,0,NULL,'cli','operator:test','2026-11-27 07:13:19.153105','2026-11-30 07:13:19.153105','2026-11-27 07:13:19.154864','running',NULL,NULL,NULL,'2026-11-27 07:13:19.200000',NULL,NULL,2,1,0,NULL,NULL,NULL,NULL);
INSERT INTO export VALUES('zzynmen7vcbihgvj3rm4h35g','access','user','usr_3','sub_hihqeb43pahnevmkftdbdzzkuo',NULL,'null','["jsonl", "csv", "vcon"]',NULL,NULL,0,NULL,'cli','operator:test','2026-11-27 07:13:19.660067','2026-11-30 07:13:19.660067','2026-11-27 07:13:19.661951','queued',NULL,NULL,NULL,NULL,NULL,NULL,0,1,0,NULL,NULL,NULL,NULL);
CREATE TABLE incident (
	kind VARCHAR(64) NOT NULL, 
	count BIGINT NOT NULL, 
	last_at VARCHAR(26) NOT NULL, 
	CONSTRAINT incident_pkey PRIMARY KEY (kind)
);
CREATE TABLE instruction (
	id VARCHAR(32) NOT NULL, 
	tenant VARCHAR(200) NOT NULL, 
	contact_id VARCHAR(200), 
	exporters JSON, 
	created_at VARCHAR(26) NOT NULL, 
	created_by VARCHAR(200) NOT NULL, 
	withdrawn_at VARCHAR(26), 
	withdrawn_by VARCHAR(200), 
	delivery VARCHAR(16) DEFAULT 'subject' NOT NULL, 
	CONSTRAINT instruction_pkey PRIMARY KEY (id)
);
CREATE TABLE legal_hold (
	id VARCHAR(32) NOT NULL, 
	subject_kind VARCHAR(16) NOT NULL, 
	subject_id VARCHAR(200) NOT NULL, 
	tenant VARCHAR(200), 
	reason TEXT NOT NULL, 
	created_at VARCHAR(26) NOT NULL, 
	created_by VARCHAR(200) NOT NULL, 
	until VARCHAR(26), 
	released_at VARCHAR(26), 
	released_by VARCHAR(200), 
	CONSTRAINT legal_hold_pkey PRIMARY KEY (id)
);
CREATE TABLE mandate (
	id VARCHAR(32) NOT NULL, 
	agent VARCHAR(200) NOT NULL, 
	subject_kind VARCHAR(16) NOT NULL, 
	subject_id VARCHAR(200) NOT NULL, 
	tenant VARCHAR(200), 
	scope JSON NOT NULL, 
	issuer VARCHAR(200) NOT NULL, 
	created_at VARCHAR(26) NOT NULL, 
	created_by VARCHAR(200) NOT NULL, 
	expires_at VARCHAR(26) NOT NULL, 
	ended_at VARCHAR(26), 
	CONSTRAINT mandate_pkey PRIMARY KEY (id)
);
CREATE TABLE recipient (
	id VARCHAR(32) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	domain VARCHAR(253) NOT NULL, 
	country VARCHAR(2) NOT NULL, 
	mechanism VARCHAR(16) NOT NULL, 
	safeguard VARCHAR(200), 
	age_key VARCHAR(100) NOT NULL, 
	jwks_url TEXT NOT NULL, 
	webhook_url TEXT NOT NULL, 
	webhook_kid VARCHAR(64) NOT NULL, 
	datasets JSON, 
	created_by VARCHAR(200) NOT NULL, 
	created_at VARCHAR(26) NOT NULL, 
	approved_by VARCHAR(200), 
	approved_at VARCHAR(26), 
	removed_by VARCHAR(200), 
	removed_at VARCHAR(26), 
	CONSTRAINT recipient_pkey PRIMARY KEY (id)
);
CREATE TABLE signing_key (
	kid VARCHAR(64) NOT NULL, 
	purpose VARCHAR(16) NOT NULL, 
	public_jwk JSON NOT NULL, 
	created_at VARCHAR(26) NOT NULL, 
	retired_at VARCHAR(26), 
	revoked_at VARCHAR(26), 
	CONSTRAINT signing_key_pkey PRIMARY KEY (kid)
);
INSERT INTO signing_key VALUES('archive-20261127-4e235ee3','archive','{"crv": "P-256", "x": "z0kbs_bYeH46dLdXkM7BfE_Rq9WzEb_nAyVN1Z081YE", "y": "hAeXzdvuZClZcoq7jqX3wVLXFHQKDxmEBzeHe_1UCYM", "kid": "archive-20261127-4e235ee3", "use": "sig", "alg": "ES256", "kty": "EC"}','2026-11-27 07:13:17.165628',NULL,NULL);
CREATE TABLE subject_ref (
	digest VARCHAR(64) NOT NULL, 
	ref VARCHAR(32) NOT NULL, 
	CONSTRAINT subject_ref_pkey PRIMARY KEY (digest), 
	CONSTRAINT subject_ref_ref_key UNIQUE (ref)
);
INSERT INTO subject_ref VALUES('76f7ea18497207f6f359945ba52e74481e6ea877c719534bb7511a8dd12de9d3','sub_3wp2xuirkwy6dgyvipqspehjoi');
INSERT INTO subject_ref VALUES('901164d3752e371c3456f59840c35a14396f4b820b77fe2842dcfe4815be910f','sub_lsyjdtbg3m43jqu3w7p4v4h4zf');
INSERT INTO subject_ref VALUES('52ca918770dc742784b474dfda8b23b7bea34a1207ba25085d1891098501d86a','sub_hihqeb43pahnevmkftdbdzzkuo');
CREATE TABLE turn (
	tenant VARCHAR(200) NOT NULL, 
	served_at VARCHAR(26), 
	CONSTRAINT turn_pkey PRIMARY KEY (tenant)
);
INSERT INTO turn VALUES('','2026-11-27 07:13:19.435000');
CREATE TABLE approval (
	id VARCHAR(32) NOT NULL, 
	export_id VARCHAR(32) NOT NULL, 
	cause VARCHAR(32) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	asked_by VARCHAR(200) NOT NULL, 
	asked_at VARCHAR(26) NOT NULL, 
	decided_by VARCHAR(200), 
	decided_at VARCHAR(26), 
	reason TEXT, 
	basis VARCHAR(32), 
	CONSTRAINT approval_pkey PRIMARY KEY (id), 
	CONSTRAINT approval_export_id_fkey FOREIGN KEY(export_id) REFERENCES export (id)
);
CREATE TABLE attestation (
	id VARCHAR(32) NOT NULL, 
	export_id VARCHAR(32) NOT NULL, 
	token TEXT NOT NULL, 
	created_at VARCHAR(26) NOT NULL, 
	CONSTRAINT attestation_pkey PRIMARY KEY (id), 
	CONSTRAINT attestation_export_id_fkey FOREIGN KEY(export_id) REFERENCES export (id)
);
CREATE TABLE authorisation (
	id VARCHAR(32) NOT NULL, 
	recipient_id VARCHAR(32) NOT NULL, 
	subject_kind VARCHAR(16) NOT NULL, 
	subject_id VARCHAR(200) NOT NULL, 
	subject_ref VARCHAR(32) NOT NULL, 
	tenant VARCHAR(200), 
	datasets JSON NOT NULL, 
	once BOOLEAN NOT NULL, 
	expires_at VARCHAR(26), 
	evidence VARCHAR(200), 
	created_by VARCHAR(200) NOT NULL, 
	created_at VARCHAR(26) NOT NULL, 
	used_at VARCHAR(26), 
	revoked_by VARCHAR(200), 
	revoked_at VARCHAR(26), 
	CONSTRAINT authorisation_pkey PRIMARY KEY (id), 
	CONSTRAINT authorisation_recipient_id_fkey FOREIGN KEY(recipient_id) REFERENCES recipient (id)
);
CREATE TABLE deadline_event (
	id INTEGER NOT NULL, 
	export_id VARCHAR(32) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	reason TEXT, 
	actor VARCHAR(200) NOT NULL, 
	at VARCHAR(26) NOT NULL, 
	CONSTRAINT deadline_event_pkey PRIMARY KEY (id), 
	CONSTRAINT deadline_event_export_id_fkey FOREIGN KEY(export_id) REFERENCES export (id)
);
CREATE TABLE gap (
	id INTEGER NOT NULL, 
	export_id VARCHAR(32) NOT NULL, 
	volume INTEGER NOT NULL, 
	exporter VARCHAR(100) NOT NULL, 
	dataset VARCHAR(100) NOT NULL, 
	what TEXT NOT NULL, 
	reason VARCHAR(64) NOT NULL, 
	retryable BOOLEAN NOT NULL, 
	resume JSON, 
	CONSTRAINT gap_pkey PRIMARY KEY (id), 
	CONSTRAINT gap_export_id_fkey FOREIGN KEY(export_id) REFERENCES export (id)
);
CREATE TABLE idempotency_key (
	digest VARCHAR(64) NOT NULL, 
	request_sha256 VARCHAR(64) NOT NULL, 
	export_id VARCHAR(32) NOT NULL, 
	created_at VARCHAR(26) NOT NULL, 
	CONSTRAINT idempotency_key_pkey PRIMARY KEY (digest), 
	CONSTRAINT idempotency_key_export_id_fkey FOREIGN KEY(export_id) REFERENCES export (id)
);
CREATE TABLE ledger (
	export_id VARCHAR(32) NOT NULL, 
	ordinal INTEGER NOT NULL, 
	exporter VARCHAR(100) NOT NULL, 
	dataset VARCHAR(100) NOT NULL, 
	title VARCHAR(200) NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	reason TEXT, 
	tenants JSON, 
	expected_records BIGINT, 
	expected_bytes BIGINT, 
	records BIGINT NOT NULL, 
	files BIGINT NOT NULL, 
	bytes BIGINT NOT NULL, 
	gaps BIGINT NOT NULL, 
	reading_began_at VARCHAR(26), 
	reading_ended_at VARCHAR(26), 
	open_slices INTEGER DEFAULT '0' NOT NULL, 
	redactions JSON, 
	findings JSON, 
	CONSTRAINT ledger_pkey PRIMARY KEY (export_id, ordinal), 
	CONSTRAINT ledger_export_id_fkey FOREIGN KEY(export_id) REFERENCES export (id)
);
INSERT INTO ledger VALUES('xj3dpwm6uo3rejvan6qny4ce',0,'made','first','First','complete',NULL,'null',NULL,NULL,3000,0,522798,0,'2026-11-27 07:13:17.730123','2026-11-27 07:13:18.680116',0,'null','null');
INSERT INTO ledger VALUES('xj3dpwm6uo3rejvan6qny4ce',1,'made','second','Second','complete',NULL,'null',NULL,NULL,3000,0,522798,0,'2026-11-27 07:13:18.680151','2026-11-27 07:13:18.954158',0,'null','null');
INSERT INTO ledger VALUES('mjjrupelym4lkjjkrr67ftod',0,'made','first','First','complete',NULL,'null',NULL,NULL,3000,0,522798,0,'2026-11-27 07:13:19.268953','2026-11-27 07:13:19.477644',0,'null','null');
INSERT INTO ledger VALUES('mjjrupelym4lkjjkrr67ftod',1,'made','second','Second','pending',NULL,'null',NULL,NULL,2820,0,491289,0,'2026-11-27 07:13:19.477673',NULL,1,'null','null');
CREATE TABLE link (
	id VARCHAR(32) NOT NULL, 
	export_id VARCHAR(32) NOT NULL, 
	token_sha256 VARCHAR(64) NOT NULL, 
	audience VARCHAR(16) NOT NULL, 
	created_at VARCHAR(26) NOT NULL, 
	created_by VARCHAR(200) NOT NULL, 
	expires_at VARCHAR(26) NOT NULL, 
	revoked_at VARCHAR(26), 
	revoked_by VARCHAR(200), 
	transfer_id VARCHAR(32), 
	CONSTRAINT link_pkey PRIMARY KEY (id), 
	CONSTRAINT link_token_sha256_key UNIQUE (token_sha256), 
	CONSTRAINT link_export_id_fkey FOREIGN KEY(export_id) REFERENCES export (id)
);
CREATE TABLE notification (
	id VARCHAR(40) NOT NULL, 
	export_id VARCHAR(32) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	occasion VARCHAR(64) NOT NULL, 
	language VARCHAR(16), 
	state VARCHAR(16) NOT NULL, 
	reason VARCHAR(64), 
	attempts INTEGER NOT NULL, 
	not_before VARCHAR(26), 
	lease_until VARCHAR(26), 
	created_at VARCHAR(26) NOT NULL, 
	sent_at VARCHAR(26), 
	CONSTRAINT notification_pkey PRIMARY KEY (id), 
	CONSTRAINT notification_export_id_kind_occasion_key UNIQUE (export_id, kind, occasion), 
	CONSTRAINT notification_export_id_fkey FOREIGN KEY(export_id) REFERENCES export (id)
);
INSERT INTO notification VALUES('ntf_a35783facbe6617eb7ed8c5f7f2294d1','xj3dpwm6uo3rejvan6qny4ce','acknowledged','1.1',NULL,'queued',NULL,0,NULL,NULL,'2026-11-27 07:13:17.211000',NULL);
INSERT INTO notification VALUES('ntf_0a1a66ace7597dac88975ba17bbf0720','xj3dpwm6uo3rejvan6qny4ce','ready','1.1',NULL,'queued',NULL,0,NULL,NULL,'2026-11-27 07:13:19.124000',NULL);
INSERT INTO notification VALUES('ntf_8a6dce57bae10dd12a6782325ed74b84','mjjrupelym4lkjjkrr67ftod','acknowledged','1.1',NULL,'queued',NULL,0,NULL,NULL,'2026-11-27 07:13:19.165000',NULL);
INSERT INTO notification VALUES('ntf_52752d09a82bcc25e71dbe5789de1bcf','zzynmen7vcbihgvj3rm4h35g','acknowledged','1.1',NULL,'queued',NULL,0,NULL,NULL,'2026-11-27 07:13:19.672000',NULL);
CREATE TABLE pseudonym (
	export_id VARCHAR(32) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	number INTEGER NOT NULL, 
	CONSTRAINT pseudonym_pkey PRIMARY KEY (export_id, kind, digest), 
	CONSTRAINT pseudonym_export_id_kind_number_key UNIQUE (export_id, kind, number), 
	CONSTRAINT pseudonym_export_id_fkey FOREIGN KEY(export_id) REFERENCES export (id)
);
CREATE TABLE recall (
	id VARCHAR(32) NOT NULL, 
	export_id VARCHAR(32) NOT NULL, 
	reason TEXT NOT NULL, 
	opened_by VARCHAR(200) NOT NULL, 
	opened_at VARCHAR(26) NOT NULL, 
	gdpr_due_at VARCHAR(26) NOT NULL, 
	pdp_due_at VARCHAR(26) NOT NULL, 
	closed_at VARCHAR(26), 
	closed_by VARCHAR(200), 
	outcome TEXT, 
	CONSTRAINT recall_pkey PRIMARY KEY (id), 
	CONSTRAINT recall_export_id_fkey FOREIGN KEY(export_id) REFERENCES export (id)
);
CREATE TABLE slice (
	export_id VARCHAR(32) NOT NULL, 
	number INTEGER NOT NULL, 
	tenant VARCHAR(200) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	large BOOLEAN NOT NULL, 
	version INTEGER NOT NULL, 
	readings JSON, 
	position JSON, 
	progress JSON, 
	owner VARCHAR(200), 
	fence BIGINT NOT NULL, 
	lease_until VARCHAR(26), 
	claimed_at VARCHAR(26), 
	attempts INTEGER NOT NULL, 
	not_before VARCHAR(26), 
	woken_at VARCHAR(26), 
	created_at VARCHAR(26) NOT NULL, 
	CONSTRAINT slice_pkey PRIMARY KEY (export_id, number), 
	CONSTRAINT slice_export_id_fkey FOREIGN KEY(export_id) REFERENCES export (id)
);
INSERT INTO slice VALUES('xj3dpwm6uo3rejvan6qny4ce',0,'','done',1,1,'[{"ordinal": 0}, {"ordinal": 1}]','{"reading": 1, "after": "2820", "piece": 1, "files": null}','null',NULL,3,NULL,'2026-11-27 07:13:18.876000',1,NULL,NULL,'2026-11-27 07:13:17.208000');
INSERT INTO slice VALUES('mjjrupelym4lkjjkrr67ftod',0,'','open',1,1,'[{"ordinal": 0}, {"ordinal": 1}]','{"reading": 1, "after": "2820", "piece": 1, "files": null}','null',NULL,2,NULL,'2026-11-27 07:13:19.434000',0,NULL,NULL,'2026-11-27 07:13:19.163000');
INSERT INTO slice VALUES('zzynmen7vcbihgvj3rm4h35g',0,'','open',0,1,NULL,NULL,NULL,NULL,0,NULL,NULL,0,NULL,NULL,'2026-11-27 07:13:19.662000');
CREATE TABLE volume (
	id INTEGER NOT NULL, 
	export_id VARCHAR(32) NOT NULL, 
	number INTEGER NOT NULL, 
	fence BIGINT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	object_key VARCHAR(200) NOT NULL, 
	upload_id TEXT NOT NULL, 
	closing BOOLEAN NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	bytes BIGINT, 
	sha256 VARCHAR(64), 
	tagmanifest_sha256 VARCHAR(64), 
	files BIGINT, 
	payload_bytes BIGINT, 
	began_at VARCHAR(26) NOT NULL, 
	stored_at VARCHAR(26), 
	slice INTEGER DEFAULT '0' NOT NULL, 
	revision INTEGER DEFAULT '1' NOT NULL, 
	CONSTRAINT volume_pkey PRIMARY KEY (id), 
	CONSTRAINT volume_object_key_key UNIQUE (object_key), 
	CONSTRAINT volume_export_id_fkey FOREIGN KEY(export_id) REFERENCES export (id)
);
INSERT INTO volume VALUES(1,'xj3dpwm6uo3rejvan6qny4ce',1,1,'stored','xj3dpwm6uo3rejvan6qny4ce/00001.1.807642e8.zip','6b092d8d-477559ce4510d32c',0,'vlint-export-xj3dpwm6uo3rejvan6qny4ce-001',231567,'184efd1453fed4a3e6f003549c32ef39977978fff04bb638e45253116de8095d','eeee4e9bd7fd28c481995b16fc58276513a022db43eca507289ca37a1478cd69',2,491289,'2026-11-27 07:13:17.345000','2026-11-27 07:13:18.580000',0,1);
INSERT INTO volume VALUES(2,'xj3dpwm6uo3rejvan6qny4ce',2,2,'stored','xj3dpwm6uo3rejvan6qny4ce/00002.2.2f8acf40.zip','6b092d8e-ef30bba97253321e',0,'vlint-export-xj3dpwm6uo3rejvan6qny4ce-002',246873,'afc3dad0008a4e2c2842ecc6e089d01546298e0b0b37a2a9bee05b6abe11a600','94eec26fd4b367a82d760ccbe7140e1a07037605dddd2069abe330bfe5abafff',4,522798,'2026-11-27 07:13:18.661000','2026-11-27 07:13:18.836000',0,1);
INSERT INTO volume VALUES(3,'xj3dpwm6uo3rejvan6qny4ce',3,3,'stored','xj3dpwm6uo3rejvan6qny4ce/00003.3.8ad13c53.zip','6b092d8e-0208766b7bee4092',1,'vlint-export-xj3dpwm6uo3rejvan6qny4ce-003',242464,'25a9ab4baec6c4547dd32495a16b55b59d78a702b8bb7edf9916b2e0d2b7cca5','341f0769dde8cc02893ee90ee6d84d2191a3257e027564e557371aaeee4a79fc',2,31509,'2026-11-27 07:13:18.906000','2026-11-27 07:13:19.113000',0,1);
INSERT INTO volume VALUES(4,'mjjrupelym4lkjjkrr67ftod',1,1,'stored','mjjrupelym4lkjjkrr67ftod/00001.1.3b76d249.zip','6b092d8f-83f36a7c7445520c',0,'vlint-export-mjjrupelym4lkjjkrr67ftod-001',231569,'284efe2c36cc10862cd73d761987525ec04472abe844aa8dffaf20e649d610e2','5f044da31ea1302b5664aa249a24777c5cf5fc2e4f1d3533876288c998f30e76',2,491289,'2026-11-27 07:13:19.233000','2026-11-27 07:13:19.421000',0,1);
INSERT INTO volume VALUES(5,'mjjrupelym4lkjjkrr67ftod',2,2,'stored','mjjrupelym4lkjjkrr67ftod/00002.2.1b17aa8f.zip','6b092d8f-05a2a217418d4179',0,'vlint-export-mjjrupelym4lkjjkrr67ftod-002',246873,'60c02de1c13b8e58e15a2caa0d31bcd2709ca3d07e4bb0434900fb77ecd0dd5a','9dd484ba801e6686279a07737ea23346423263df73fdf3055e071a8b526c61d7',4,522798,'2026-11-27 07:13:19.457000','2026-11-27 07:13:19.640000',0,1);
CREATE TABLE code (
	id VARCHAR(32) NOT NULL, 
	link_id VARCHAR(32) NOT NULL, 
	kid VARCHAR(64) NOT NULL, 
	nonce VARCHAR(64) NOT NULL, 
	attempts INTEGER NOT NULL, 
	created_at VARCHAR(26) NOT NULL, 
	expires_at VARCHAR(26) NOT NULL, 
	used_at VARCHAR(26), 
	CONSTRAINT code_pkey PRIMARY KEY (id), 
	CONSTRAINT code_link_id_fkey FOREIGN KEY(link_id) REFERENCES link (id)
);
CREATE TABLE deleted_volume (
	id INTEGER NOT NULL, 
	export_id VARCHAR(32) NOT NULL, 
	number INTEGER NOT NULL, 
	bytes BIGINT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	why VARCHAR(16) NOT NULL, 
	deleted_at VARCHAR(26) NOT NULL, 
	attestation_id VARCHAR(32), 
	CONSTRAINT deleted_volume_pkey PRIMARY KEY (id), 
	CONSTRAINT deleted_volume_export_id_fkey FOREIGN KEY(export_id) REFERENCES export (id), 
	CONSTRAINT deleted_volume_attestation_id_fkey FOREIGN KEY(attestation_id) REFERENCES attestation (id)
);
CREATE TABLE link_claim (
	id INTEGER NOT NULL, 
	link_id VARCHAR(32) NOT NULL, 
	volume INTEGER NOT NULL, 
	claim_sha256 VARCHAR(64) NOT NULL, 
	created_at VARCHAR(26) NOT NULL, 
	expires_at VARCHAR(26) NOT NULL, 
	downloaded_at VARCHAR(26), 
	CONSTRAINT link_claim_pkey PRIMARY KEY (id), 
	CONSTRAINT link_claim_claim_sha256_key UNIQUE (claim_sha256), 
	CONSTRAINT link_claim_link_id_fkey FOREIGN KEY(link_id) REFERENCES link (id)
);
CREATE TABLE transfer (
	id VARCHAR(32) NOT NULL, 
	export_id VARCHAR(32) NOT NULL, 
	recipient_id VARCHAR(32) NOT NULL, 
	authorisation_id VARCHAR(32) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	revision INTEGER, 
	statement TEXT, 
	error_code VARCHAR(64), 
	created_by VARCHAR(200) NOT NULL, 
	created_at VARCHAR(26) NOT NULL, 
	offered_at VARCHAR(26), 
	expires_at VARCHAR(26), 
	ended_at VARCHAR(26), 
	owner VARCHAR(200), 
	fence BIGINT NOT NULL, 
	lease_until VARCHAR(26), 
	claimed_at VARCHAR(26), 
	attempts INTEGER NOT NULL, 
	not_before VARCHAR(26), 
	woken_at VARCHAR(26), 
	CONSTRAINT transfer_pkey PRIMARY KEY (id), 
	CONSTRAINT transfer_export_id_fkey FOREIGN KEY(export_id) REFERENCES export (id), 
	CONSTRAINT transfer_recipient_id_fkey FOREIGN KEY(recipient_id) REFERENCES recipient (id), 
	CONSTRAINT transfer_authorisation_id_fkey FOREIGN KEY(authorisation_id) REFERENCES authorisation (id)
);
CREATE TABLE transfer_copy (
	id INTEGER NOT NULL, 
	transfer_id VARCHAR(32) NOT NULL, 
	number INTEGER NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	plain_bytes BIGINT NOT NULL, 
	plain_sha256 VARCHAR(64) NOT NULL, 
	fence BIGINT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	object_key VARCHAR(200) NOT NULL, 
	upload_id TEXT NOT NULL, 
	bytes BIGINT, 
	sha256 VARCHAR(64), 
	began_at VARCHAR(26) NOT NULL, 
	stored_at VARCHAR(26), 
	CONSTRAINT transfer_copy_pkey PRIMARY KEY (id), 
	CONSTRAINT transfer_copy_object_key_key UNIQUE (object_key), 
	CONSTRAINT transfer_copy_transfer_id_fkey FOREIGN KEY(transfer_id) REFERENCES transfer (id)
);
CREATE TABLE transfer_receipt (
	id INTEGER NOT NULL, 
	transfer_id VARCHAR(32) NOT NULL, 
	recipient_id VARCHAR(32) NOT NULL, 
	jti VARCHAR(200) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	code VARCHAR(64), 
	volumes INTEGER NOT NULL, 
	receipt TEXT NOT NULL, 
	received_at VARCHAR(26) NOT NULL, 
	CONSTRAINT transfer_receipt_pkey PRIMARY KEY (id), 
	CONSTRAINT transfer_receipt_recipient_id_jti_key UNIQUE (recipient_id, jti), 
	CONSTRAINT transfer_receipt_transfer_id_fkey FOREIGN KEY(transfer_id) REFERENCES transfer (id), 
	CONSTRAINT transfer_receipt_recipient_id_fkey FOREIGN KEY(recipient_id) REFERENCES recipient (id)
);
CREATE TABLE webhook (
	id VARCHAR(40) NOT NULL, 
	transfer_id VARCHAR(32) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	kid VARCHAR(64) NOT NULL, 
	sealed TEXT, 
	reason VARCHAR(64), 
	attempts INTEGER NOT NULL, 
	not_before VARCHAR(26), 
	lease_until VARCHAR(26), 
	created_at VARCHAR(26) NOT NULL, 
	sent_at VARCHAR(26), 
	CONSTRAINT webhook_pkey PRIMARY KEY (id), 
	CONSTRAINT webhook_transfer_id_kind_key UNIQUE (transfer_id, kind), 
	CONSTRAINT webhook_transfer_id_fkey FOREIGN KEY(transfer_id) REFERENCES transfer (id)
);
CREATE TRIGGER audit_event_append_only_update BEFORE UPDATE ON audit_event
    BEGIN SELECT RAISE(ABORT, 'audit_event is append-only'); END;
CREATE TRIGGER audit_event_append_only_delete BEFORE DELETE ON audit_event
    BEGIN SELECT RAISE(ABORT, 'audit_event is append-only'); END;
CREATE INDEX audit_event_export_id_idx ON audit_event (export_id);
CREATE INDEX erasure_state_idx ON erasure (state);
CREATE INDEX export_subject_ref_idx ON export (subject_ref);
CREATE INDEX export_state_idx ON export (state);
CREATE INDEX instruction_tenant_idx ON instruction (tenant);
CREATE INDEX legal_hold_subject_id_idx ON legal_hold (subject_id);
CREATE INDEX mandate_agent_idx ON mandate (agent);
CREATE INDEX recipient_domain_idx ON recipient (domain);
CREATE INDEX approval_state_idx ON approval (state);
CREATE INDEX approval_export_id_idx ON approval (export_id);
CREATE INDEX attestation_export_id_idx ON attestation (export_id);
CREATE INDEX authorisation_subject_ref_idx ON authorisation (subject_ref);
CREATE INDEX deadline_event_export_id_idx ON deadline_event (export_id);
CREATE INDEX deadline_event_kind_idx ON deadline_event (kind);
CREATE INDEX gap_export_id_idx ON gap (export_id);
CREATE INDEX idempotency_key_created_at_idx ON idempotency_key (created_at);
CREATE INDEX link_export_id_idx ON link (export_id);
CREATE INDEX notification_state_created_at_idx ON notification (state, created_at);
CREATE INDEX recall_export_id_idx ON recall (export_id);
CREATE INDEX slice_lease_until_idx ON slice (lease_until);
CREATE INDEX slice_tenant_state_idx ON slice (tenant, state);
CREATE INDEX volume_export_id_number_idx ON volume (export_id, number);
CREATE INDEX code_link_id_created_at_idx ON code (link_id, created_at);
CREATE INDEX deleted_volume_attestation_id_idx ON deleted_volume (attestation_id);
CREATE INDEX deleted_volume_export_id_idx ON deleted_volume (export_id);
CREATE INDEX link_claim_link_id_volume_idx ON link_claim (link_id, volume);
CREATE INDEX transfer_state_idx ON transfer (state);
CREATE INDEX transfer_export_id_idx ON transfer (export_id);
CREATE INDEX transfer_copy_transfer_id_number_idx ON transfer_copy (transfer_id, number);
CREATE INDEX transfer_receipt_transfer_id_idx ON transfer_receipt (transfer_id);
CREATE INDEX webhook_state_created_at_idx ON webhook (state, created_at);
COMMIT;
