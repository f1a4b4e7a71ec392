"""The scripts of demo.talk: `>` is the company, `<` the customer; the blanks are filled per conversation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Script:
    """One matter from its beginning to its end."""

    subject: str
    summary: str
    intent: str
    sentiment: str
    lines: tuple[str, ...]


PRODUCTS = {
    "en": ("kettle", "desk lamp", "running shoes", "office chair", "headphones", "coffee grinder", "rain jacket"),
    "id": ("rice cooker", "lampu meja", "sepatu lari", "kursi kantor", "kipas angin", "blender", "tas ransel"),
}

GREETINGS = {
    "en": (
        "Hello, you've reached {company}. My name is {agent}, how can I help?",
        "Good morning, {company}, {agent} speaking. What can I do for you?",
        "Hi {name} 👋 I'm {agent} from {company}. How can I help you today?",
    ),
    "id": (
        "Halo, selamat datang di {company}. Saya {agent}, ada yang bisa dibantu?",
        "Selamat pagi, dengan {agent} dari {company}. Ada yang bisa saya bantu?",
        "Hai Kak {name} 👋 Saya {agent} dari {company}. Bisa dibantu, Kak?",
    ),
}

THANKS = {
    "en": (
        ("Great, thanks a lot!", "You're welcome, {name}. Have a lovely day!"),
        ("That's all, thank you {agent}.", "My pleasure. Thank you for choosing {company}."),
        ("Ok, cheers 👍", "Happy to help. Bye for now!"),
    ),
    "id": (
        ("Oke, makasih banyak ya.", "Sama-sama, Kak {name}. Semoga harinya menyenangkan!"),
        ("Baik, terima kasih {agent}.", "Dengan senang hati. Terima kasih sudah menghubungi {company}."),
        ("Siap, terima kasih 🙏", "Sama-sama, Kak. Sampai jumpa lagi!"),
    ),
}

ENGLISH = (
    Script(
        "Order {order} has not arrived",
        "The customer's order {order} was late; the parcel was found at the {city} depot and goes out on {date}.",
        "delivery_status",
        "negative",
        (
            "< Hi, my order {order} was meant to be here on Monday and there's still no sign of it.",
            "> I'm sorry to hear that. Let me look it up. Is it the {product}?",
            "< Yes, that's the one. I paid {amount}, so I'd like to know where it is.",
            "> Found it. The parcel is at our depot in {city}. The courier tried to deliver but nobody was in.",
            "< I was at home all day!",
            "> I understand, that's frustrating. I've booked a new delivery for {date}, before {hour}.",
            "< Fine. Can you text me when it's on its way?",
            "> Of course, you'll get a message an hour before.",
        ),
    ),
    Script(
        "Refund for {product}",
        "The customer returned a faulty {product} and is refunded {amount} within five working days.",
        "refund",
        "neutral",
        (
            "< I'd like to send back the {product} I bought. It stopped working after two days.",
            "> Oh no. Do you have the order number to hand?",
            "< It's {order}.",
            "> Thank you. Would you prefer a replacement or your money back?",
            "< Money back, please.",
            "> No problem: {amount} goes back to the card you paid with, within five working days.",
            "< Do I have to pay for the postage?",
            "> No, I've just e-mailed you a prepaid label.",
        ),
    ),
    Script(
        "Cannot log in",
        "The customer could not log in after changing phones; two-step verification was reset after checks.",
        "account_access",
        "neutral",
        (
            "< I've got a new phone and now I can't log in, it keeps asking for a code.",
            "> I can help with that. First, could you confirm your full name?",
            "< {full_name}.",
            "> Thanks. And the date of your last order, roughly?",
            "< Around {date}, a {product}.",
            "> That matches. I've reset the two-step verification. Please try again now.",
            "< It's asking me to scan something... ok, I'm in.",
            "> Perfect. Please keep the backup codes somewhere safe.",
        ),
    ),
    Script(
        "Question about an invoice",
        "The customer asked about a charge of {amount}: it was the yearly plan; switched to monthly from {date}.",
        "billing_question",
        "negative",
        (
            "< There's a charge of {amount} on my statement that I don't recognise.",
            "> Let me check. That is the yearly plan, which renewed last week.",
            "< Nobody told me! I thought I was paying monthly.",
            "> I see a reminder was sent, but it may have gone to your spam folder. I'm sorry about that.",
            "< Can I still change it?",
            "> Yes. I'll cancel the yearly plan, refund the difference and start a monthly one on {date}.",
            "< Ok, please do that.",
            "> Done. The credit note is on its way to your inbox.",
        ),
    ),
    Script(
        "Appointment on {date}",
        "The customer moved an appointment in {city} to {date} at {hour}.",
        "appointment",
        "positive",
        (
            "< Hello, can I move my appointment? Something came up at work.",
            "> Sure. It's the one at our {city} branch, right?",
            "< Right. Is there anything free at the end of the month?",
            "> I have {date} at {hour}. Would that suit you?",
            "< Perfect.",
            "> Booked! Please bring the {product} and the receipt.",
        ),
    ),
    Script(
        "Is the {product} in stock?",
        "The customer asked about stock in {city} and reserved one {product} for {amount}.",
        "product_question",
        "positive",
        (
            "< Do you have the {product} in stock in {city}?",
            "> Let me check... yes, three left. It's {amount}.",
            "< Does it come with a guarantee?",
            "> Two years, and you can return it within 30 days.",
            "< Lovely. Could you put one aside for me?",
            "> It's reserved until {date} under the number {order}.",
        ),
    ),
)

INDONESIAN = (
    Script(
        "Pesanan {order} belum sampai",
        "Pesanan {order} terlambat; paket ada di gudang {city} dan dikirim ulang pada {date}.",
        "delivery_status",
        "negative",
        (
            "< Kak, pesanan saya {order} kok belum sampai ya? Katanya hari Senin.",
            "> Mohon maaf atas ketidaknyamanannya. Saya cek dulu ya, Kak. Ini {product}, betul?",
            "< Iya betul. Saya sudah bayar {amount} lho.",
            "> Sudah ketemu, Kak. Paketnya ada di gudang {city}. Kurir sudah ke alamat tapi rumahnya kosong.",
            "< Loh, saya di rumah terus kok seharian.",
            "> Kami mohon maaf, Kak. Saya jadwalkan kirim ulang tanggal {date} sebelum pukul {hour}.",
            "< Ya sudah. Nanti kabari lewat WA ya.",
            "> Siap, Kak. Satu jam sebelum sampai akan kami kabari.",
        ),
    ),
    Script(
        "Pengembalian dana {product}",
        "Pelanggan mengembalikan {product} yang rusak; dana {amount} kembali dalam lima hari kerja.",
        "refund",
        "neutral",
        (
            "< Saya mau retur {product}, baru dua hari dipakai sudah mati.",
            "> Waduh, mohon maaf ya, Kak. Boleh minta nomor pesanannya?",
            "< {order}",
            "> Terima kasih. Kakak mau tukar barang baru atau uang kembali?",
            "< Uang kembali saja.",
            "> Baik, {amount} akan kembali ke rekening Kakak paling lambat lima hari kerja.",
            "< Ongkirnya siapa yang tanggung?",
            "> Kami yang tanggung, Kak. Labelnya sudah saya kirim ke email.",
        ),
    ),
    Script(
        "Tidak bisa masuk akun",
        "Pelanggan ganti ponsel dan tidak bisa masuk; verifikasi dua langkah diatur ulang setelah dicek.",
        "account_access",
        "neutral",
        (
            "< Saya ganti HP, sekarang tidak bisa login. Minta kode terus.",
            "> Baik, saya bantu ya. Boleh sebutkan nama lengkapnya?",
            "< {full_name}",
            "> Terima kasih. Terakhir pesan apa dan kapan, Kak?",
            "< {product}, sekitar {date}.",
            "> Cocok, Kak. Verifikasinya sudah saya reset, silakan dicoba lagi.",
            "< Disuruh scan... oh sudah bisa masuk.",
            "> Sip! Kode cadangannya disimpan baik-baik ya, Kak.",
        ),
    ),
    Script(
        "Pertanyaan tagihan",
        "Pelanggan menanyakan tagihan {amount}: paket tahunan; diganti bulanan mulai {date}.",
        "billing_question",
        "negative",
        (
            "< Ini ada tagihan {amount}, saya tidak merasa beli apa-apa.",
            "> Saya cek dulu ya, Kak. Itu paket tahunan yang diperpanjang minggu lalu.",
            "< Saya tidak diberi tahu! Saya kira bulanan.",
            "> Pengingatnya sudah dikirim, mungkin masuk ke folder spam. Kami mohon maaf.",
            "< Masih bisa diganti?",
            "> Bisa, Kak. Paket tahunan saya batalkan, selisihnya kembali, dan yang bulanan mulai {date}.",
            "< Oke, tolong diproses.",
            "> Sudah selesai. Nota kreditnya dikirim ke email Kakak.",
        ),
    ),
    Script(
        "Jadwal ulang {date}",
        "Pelanggan memindahkan jadwal di {city} ke {date} pukul {hour}.",
        "appointment",
        "positive",
        (
            "< Halo, jadwal saya bisa digeser? Ada urusan kantor mendadak.",
            "> Bisa, Kak. Yang di cabang {city} ya?",
            "< Iya. Akhir bulan ada yang kosong?",
            "> Ada {date} pukul {hour}. Cocok, Kak?",
            "< Cocok banget.",
            "> Sudah dicatat! Jangan lupa bawa {product} dan struknya ya.",
        ),
    ),
    Script(
        "Stok {product}",
        "Pelanggan menanyakan stok di {city} dan memesan satu {product} seharga {amount}.",
        "product_question",
        "positive",
        (
            "< {product} masih ada di toko {city}?",
            "> Sebentar saya cek... masih ada tiga, Kak. Harganya {amount}.",
            "< Ada garansinya?",
            "> Garansi dua tahun, dan bisa retur dalam 30 hari.",
            "< Mantap. Tolong simpan satu buat saya ya.",
            "> Sudah saya simpan sampai {date} dengan nomor {order}.",
        ),
    ),
)
