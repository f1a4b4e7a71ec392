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
      "held for a tenant that has not ordered its export: ask the tenant": "Held for a company that has not allowed its export yet",
    },
    groups: {
      account: "Account", billing: "Billing", calls: "Calls", chats: "Chats", interactions: "Service", crm: "Customer file",
      inquiries: "Inquiries", marketing: "Marketing", devices: "Devices", usage: "Usage", performance: "Performance",
      cookies: "Cookies", trail: "Who looked at it", configuration: "Configuration",
    },
    titles: {},
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
      source_error: "Sistem yang menyimpannya gagal.", exporter_fault: "Program yang membacanya melakukan kesalahan.",
      not_json: "Sebuah nilai tidak dapat ditulis dalam format ini.", format_error: "Tidak dapat ditulis dalam format ini.",
      no_format: "Tidak ada format yang diminta yang dapat memuatnya.", too_large: "Terlalu besar untuk satu berkas arsip.",
    },
    leftOut: {
      "not asked for": "tidak diminta", "is not about a user": "bukan tentang pemegang akun",
      "is not about a contact": "bukan tentang pelanggan", "is not about a tenant": "bukan tentang perusahaan",
      "available to each person by a request of their own (profile access)": "tersedia bagi setiap orang melalui permintaannya sendiri",
      "derived data is not part of portability (GDPR Art. 20; WP242 rev.01)": "data hasil kesimpulan tidak termasuk portabilitas (GDPR Pasal 20)",
      "held for a tenant that has not ordered its export: ask the tenant": "Disimpan untuk perusahaan yang belum mengizinkan ekspornya",
    },
    groups: {
      account: "Akun", billing: "Tagihan", calls: "Panggilan", chats: "Obrolan", interactions: "Layanan", crm: "Data pelanggan",
      inquiries: "Pertanyaan", marketing: "Pemasaran", devices: "Perangkat", usage: "Penggunaan", performance: "Kinerja",
      cookies: "Kuki", trail: "Siapa yang melihatnya", configuration: "Konfigurasi",
    },
    titles: {
      "account.profile": "Profil akun", "account.organisation": "Perusahaan", "account.memberships": "Keanggotaan",
      "billing.subscription": "Langganan", "billing.invoices": "Faktur", "billing.payment_methods": "Cara pembayaran",
      "calls.calls": "Panggilan telepon", "calls.transcripts": "Transkrip panggilan", "calls.recordings": "Rekaman panggilan",
      "calls.analyses": "Analisis panggilan", "calls.vcon": "Panggilan sebagai vCon", "chats.conversations": "Percakapan",
      "chats.messages": "Pesan", "chats.attachments": "Lampiran", "chats.vcon": "Obrolan sebagai vCon",
      "configuration.agents": "Agen AI", "configuration.flows": "Alur", "configuration.roles": "Peran",
      "configuration.integrations": "Integrasi", "cookies.sessions": "Sesi", "cookies.preferences": "Pilihan kuki",
      "cookies.analytics_ids": "Pengenal analitik", "crm.contacts": "Kontak", "crm.companies": "Perusahaan pelanggan",
      "crm.deals": "Transaksi", "crm.activities": "Aktivitas", "devices.devices": "Perangkat",
      "devices.ip_addresses": "Alamat internet", "devices.user_agents": "Peramban", "inquiries.inquiries": "Pertanyaan",
      "inquiries.replies": "Balasan", "interactions.tickets": "Tiket", "interactions.ai_agent_actions": "Tindakan agen AI",
      "interactions.satisfaction": "Kepuasan", "interactions.routing_scores": "Skor penyaluran",
      "marketing.preferences": "Pilihan pemasaran", "marketing.consents": "Persetujuan", "marketing.campaigns": "Kampanye",
      "performance.api_timings": "Waktu tanggap", "performance.error_logs": "Kesalahan",
      "trail.processing_trail": "Jejak pemrosesan", "usage.page_views": "Halaman yang dilihat",
      "usage.feature_uses": "Fitur yang dipakai", "usage.clicks": "Klik", "usage.navigation_paths": "Jalur navigasi",
    },
  },
};
