"""Account holders: profile, memberships, and messages to support, sales and marketing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random

from demo.people import TIME_ZONES, MadeUpPerson, ip_address
from demo.rows.interactions import NOTES
from demo.talk import make_talk
from demo.world import MadeUpWorld, Row, chance, later, moment, nth, row
from exporters.reference import schema

TOPICS = ("product_news", "offers", "events")
ROLES = ("admin", "supervisor", "agent", "analyst")
CONSENT_TEXTS = {
    "en": "I agree to receive news and offers by e-mail. I can withdraw at any time.",
    "id": "Saya setuju menerima kabar dan penawaran lewat surel. Persetujuan dapat saya tarik kapan saja.",
}
DAY_SECONDS = 86_400.0


def user_rows(world: MadeUpWorld, number: int) -> Iterator[Row]:
    """Make one account with its memberships, inquiries and marketing."""
    random, user = world.random("user", number), world.users[number]
    created_at = moment(random)
    yield row(
        schema.users,
        id=user.id,
        email=user.email,
        email_verified_at=user.email_verified_at,
        phone=None if nth(number, 8, 5) else user.phone,
        phone_verified_at=None if nth(number, 8, 5) else user.phone_verified_at,
        full_name=user.name,
        company_name=user.tenant.name,
        job_title=random.choice(world.pool(user.language).jobs),
        locale={"id": "id-ID", "en": "en-GB"}[user.language],
        time_zone=TIME_ZONES[user.language],
        mfa_enabled=chance(random, 0.4),
        created_at=created_at,
        updated_at=later(created_at, random, 90 * DAY_SECONDS),
        last_login_at=later(created_at, random, 90 * DAY_SECONDS),
        closed_at=later(created_at, random, 300 * DAY_SECONDS) if nth(number, 11, 10) else None,
        legal_hold=nth(number, 22, 21),
    )
    yield from _membership_rows(world, user, random)
    yield from _inquiry_rows(world, user, random)
    yield from _marketing_rows(world, user, random)


def _membership_rows(world: MadeUpWorld, user: MadeUpPerson, random: Random) -> Iterator[Row]:
    """Make memberships: owners have one with their tenant; some people also worked for another tenant earlier."""
    employers = [] if user.number < len(world.tenants) else [(user.tenant, False)]
    if nth(user.number, 5, 0) and len(world.tenants) > 1:
        employers.append((world.tenants[(user.tenant.number + 1) % len(world.tenants)], True))
    for place, (tenant, ended) in enumerate(employers):
        created_at = moment(random)
        yield row(
            schema.memberships,
            id=world.id("mem", user.number, place),
            tenant_id=tenant.id,
            user_id=user.id,
            member_name=user.name,
            member_email=user.email,
            role=random.choice(ROLES),
            invited_by=world.owner(tenant).id,
            created_at=created_at,
            ended_at=later(created_at, random, 200 * DAY_SECONDS) if ended else None,
        )


def _inquiry_rows(world: MadeUpWorld, user: MadeUpPerson, random: Random) -> Iterator[Row]:
    """Make a person's inquiries: logged in, or on the web page with only an e-mail address."""
    for place in range(2 if user.number == 0 else random.randint(0, 2)):
        talk = make_talk(
            random, user.language, customer=user.name, company="Contoh", city=random.choice(world.cities(user))
        )
        created_at, inquiry_id = moment(random), world.id("inq", user.number, place)
        anonymous = nth(place, 2, 1)
        said = [line for line in talk.lines if line.speaker == "customer"]
        yield row(
            schema.inquiries,
            id=inquiry_id,
            user_id=None if anonymous else user.id,
            email=user.email.title() if anonymous else user.email,
            name=user.name,
            company_name=user.tenant.name,
            department=random.choice(("support", "sales")),
            channel="web" if anonymous else "app",
            subject="" if nth(user.number, 9, 3) else talk.subject,
            message="\n\n".join(line.text for line in said),
            status=random.choice(("open", "closed")),
            created_at=created_at,
            closed_at=later(created_at, random, 9 * DAY_SECONDS) if chance(random, 0.6) else None,
            private_note=NOTES[user.language] if nth(user.number, 3, 0) else None,
        )
        answers = [line for line in talk.lines[1:] if line.speaker == "agent"]
        for turn, line in enumerate(answers[:2]):
            sent_at = later(created_at, random, 5 * DAY_SECONDS)
            yield row(
                schema.inquiry_replies,
                id=world.id("rep", user.number, place, turn),
                inquiry_id=inquiry_id,
                author="staff",
                body=line.text,
                sent_at=sent_at,
                created_at=sent_at,
            )


def _marketing_rows(world: MadeUpWorld, user: MadeUpPerson, random: Random) -> Iterator[Row]:
    known_by_email_only = nth(user.number, 6, 2)
    owner = {"user_id": None if known_by_email_only else user.id, "email": user.email}
    for place, topic in enumerate(TOPICS):
        created_at = moment(random)
        yield row(
            schema.marketing_preferences,
            **owner,
            id=world.id("pre", user.number, place),
            channel=random.choice(("email", "sms", "whatsapp")),
            topic=topic,
            subscribed=chance(random, 0.5),
            frequency=random.choice(("weekly", "monthly", None)),
            created_at=created_at,
            updated_at=later(created_at, random, 40 * DAY_SECONDS) if chance(random, 0.3) else None,
        )
    for place, status in enumerate(("given", "withdrawn")):
        decided_at = moment(random)
        yield row(
            schema.consents,
            **owner,
            id=world.id("cns", user.number, place),
            purpose="marketing_email",
            status=status,
            text_version=f"2024-{place + 1:02d}",
            wording=CONSENT_TEXTS[user.language],
            source=random.choice(("signup_form", "preference_center", "mail_footer")),
            ip_address=ip_address(random),
            decided_at=decided_at,
            created_at=decided_at,
        )
    for place in range(random.randint(2, 4)):
        yield schema.campaigns_received, owner | _campaign(world.id("cmp", user.number, place), random)


def _campaign(campaign_id: str, random: Random) -> dict[str, object]:
    sent_at = moment(random)
    opened_at: datetime | None = later(sent_at, random, DAY_SECONDS) if chance(random, 0.6) else None
    return {
        "id": campaign_id,
        "campaign": f"newsletter-{sent_at:%Y-%m}",
        "channel": "email",
        "subject": random.choice(("What's new this month ✨", "Yang baru bulan ini ✨", "Save 20% today")),
        "sent_at": sent_at,
        "opened_at": opened_at,
        "clicked_at": opened_at + timedelta(seconds=40) if opened_at and chance(random, 0.5) else None,
        "unsubscribed_at": later(sent_at, random, DAY_SECONDS) if chance(random, 0.1) else None,
        "created_at": sent_at,
        "provider_message": f"<{campaign_id}@post.example>",
    }
