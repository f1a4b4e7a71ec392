"use strict";
/* Codes and names of the archive in words. What is not listed here is shown as it stands. */
portability.words = {
  en: {
    states: {
      complete: "complete", partial: "partly here", empty: "nothing held", redacted: "partly hidden",
      refused: "could not be read", needs_instruction: "ask the company", pending: "not read",
    },
    reasons: {
      missing: "The file was no longer where it should be.", truncated: "The file ends early: fewer bytes came than were promised.",
      changed: "It changed while it was being read.", unreadable: "It could not be read.",
      source_unavailable: "The system that holds it did not answer.", source_refused: "The system that holds it refused to give it.",
      source_stalled: "The system that holds it did not answer in time.",
      instruction_withdrawn: "The company withdrew its permission before all of it was read.",
      source_error: "The system that holds it failed.", exporter_fault: "The program that reads it made a mistake.",
      not_json: "A value could not be written down in this format.", format_error: "It could not be written down in this format.",
      no_format: "No format that was asked for can hold it.", too_large: "It is too large for one file of the archive.",
    },
    leftOut: {
      "not asked for": "Not asked for", "is not about a user": "Kept about companies and their customers, not about an account holder",
      "is not about a contact": "Kept about companies and account holders, not about a company’s customer",
      "is not about a tenant": "Kept about persons, not about the company",
      "available to each person by a request of their own (profile access)": "Available to each person by a request of their own",
      "derived data is not part of portability (GDPR Art. 20; WP242 rev.01)": "Concluded by software: not part of portability (GDPR Art. 20), ask for access instead",
      "not held on consent or contract, so not part of portability (GDPR Art. 20(1)(a)): ask for access": "Not held on consent or contract: not part of portability (GDPR Art. 20), ask for access instead",
      "no legal basis is recorded for it, so not part of portability (GDPR Art. 20(1)(a)): ask for access": "No legal basis is recorded for it: not part of portability (GDPR Art. 20), ask for access instead",
      "format vcon was not asked for": "Its format, vCon, was not asked for",
      "no format of records was asked for (jsonl, csv)": "No format of tables was asked for",
      "held for a tenant that has not ordered its export: ask the tenant": "Held for a company that has not allowed its export yet",
    },
    groups: {
      account: "Account", billing: "Billing", calls: "Calls", chats: "Chats", interactions: "Service", crm: "Customer file",
      inquiries: "Inquiries", marketing: "Marketing", devices: "Devices", usage: "Usage", performance: "Performance",
      cookies: "Cookies", trail: "Who looked at it", configuration: "Configuration",
    },
  },
  id: {
    states: {
      complete: "lengkap", partial: "sebagian", empty: "tidak ada data", redacted: "sebagian disamarkan",
      refused: "tidak dapat dibaca", needs_instruction: "tanyakan kepada perusahaan", pending: "tidak dibaca",
    },
    reasons: {
      missing: "Berkas tidak ada lagi di tempatnya.", truncated: "Berkas terpotong: yang datang kurang dari yang dijanjikan.",
      changed: "Berubah ketika sedang dibaca.", unreadable: "Tidak dapat dibaca.",
      source_unavailable: "Sistem yang menyimpannya tidak menjawab.", source_refused: "Sistem yang menyimpannya menolak memberikannya.",
      source_stalled: "Sistem yang menyimpannya tidak menjawab pada waktunya.",
      instruction_withdrawn: "Perusahaan mencabut izinnya sebelum semuanya selesai dibaca.",
      source_error: "Sistem yang menyimpannya gagal.", exporter_fault: "Program yang membacanya melakukan kesalahan.",
      not_json: "Sebuah nilai tidak dapat ditulis dalam format ini.", format_error: "Tidak dapat ditulis dalam format ini.",
      no_format: "Tidak ada format yang diminta yang dapat memuatnya.", too_large: "Terlalu besar untuk satu berkas arsip.",
    },
    leftOut: {
      "not asked for": "tidak diminta", "is not about a user": "bukan tentang pemegang akun",
      "is not about a contact": "bukan tentang pelanggan", "is not about a tenant": "bukan tentang perusahaan",
      "available to each person by a request of their own (profile access)": "tersedia bagi setiap orang melalui permintaannya sendiri",
      "derived data is not part of portability (GDPR Art. 20; WP242 rev.01)": "data hasil kesimpulan tidak termasuk portabilitas (GDPR Pasal 20)",
      "not held on consent or contract, so not part of portability (GDPR Art. 20(1)(a)): ask for access": "Tidak diproses atas dasar persetujuan atau perjanjian: tidak termasuk portabilitas (GDPR Pasal 20), mintalah akses",
      "no legal basis is recorded for it, so not part of portability (GDPR Art. 20(1)(a)): ask for access": "Dasar hukumnya tidak tercatat: tidak termasuk portabilitas (GDPR Pasal 20), mintalah akses",
      "format vcon was not asked for": "formatnya, vCon, tidak diminta",
      "no format of records was asked for (jsonl, csv)": "tidak ada format tabel yang diminta",
      "held for a tenant that has not ordered its export: ask the tenant": "Disimpan untuk perusahaan yang belum mengizinkan ekspornya",
    },
    groups: {
      account: "Akun", billing: "Tagihan", calls: "Panggilan", chats: "Obrolan", interactions: "Layanan", crm: "Data pelanggan",
      inquiries: "Pertanyaan", marketing: "Pemasaran", devices: "Perangkat", usage: "Penggunaan", performance: "Kinerja",
      cookies: "Kuki", trail: "Siapa yang melihatnya", configuration: "Konfigurasi",
    },
  },
};
