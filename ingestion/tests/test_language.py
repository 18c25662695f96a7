"""Telling the language of a text."""

from __future__ import annotations

import time

import pytest

from ingestion.language import detect_language, language_code

TEXTS = {
    "en": "Staff who travel on university business claim their expenses within thirty days of returning home. Claims "
    "need an itemised receipt for every amount above five pounds, and the finance office pays claims on Fridays.",
    "de": "Beschäftigte, die dienstlich reisen, rechnen ihre Auslagen innerhalb von dreißig Tagen nach der Rückkehr "
    "ab. Für jeden Betrag über fünf Euro ist ein Beleg nötig; die Finanzabteilung zahlt freitags aus.",
    "fr": "Les membres du personnel en mission demandent le remboursement de leurs frais dans les trente jours "
    "suivant leur retour. Un justificatif détaillé est exigé pour tout montant supérieur à cinq euros.",
    "es": "El personal que viaja por asuntos de la universidad solicita el reembolso de sus gastos en los treinta "
    "días siguientes a su regreso. Se exige un recibo detallado por cada importe superior a cinco euros.",
    "it": "Il personale che viaggia per conto dell'università chiede il rimborso delle spese entro trenta giorni dal "
    "rientro. Serve una ricevuta dettagliata per ogni importo superiore a cinque euro.",
    "zh": "因公出差的教职员工应在返回后三十天内报销费用。每笔超过五英镑的费用都需要提供详细收据。"
    "财务处每周五支付报销款项。如有疑问，请与财务处联系。学生旅行由所在学院负责。",
    "ja": "大学の業務で出張する職員は、帰着後三十日以内に旅費を請求してください。"
    "五ポンドを超える金額には領収書が必要です。",
    "ar": "يجب على الموظفين الذين يسافرون في مهام جامعية تقديم طلبات استرداد نفقاتهم خلال ثلاثين يوما من عودتهم. "
    "ويلزم إيصال مفصل لكل مبلغ يزيد على خمسة جنيهات.",
    "ru": "Сотрудники, выезжающие в командировку, подают заявление на возмещение расходов в течение тридцати дней "
    "после возвращения. Для каждой суммы свыше пяти фунтов нужен подробный чек.",
    "gd": "Feumaidh luchd-obrach a tha a' siubhal air gnothaichean an oilthigh na cosgaisean aca a thagradh taobh "
    "a-staigh trithead latha bhon tilleadh dhachaigh. Feumar cuidhteas airson gach suim os cionn còig notaichean.",
    "cy": "Rhaid i staff sy'n teithio ar fusnes y brifysgol hawlio eu treuliau o fewn tri deg diwrnod ar ôl "
    "dychwelyd. Mae angen derbynneb fanwl ar gyfer pob swm dros bum punt.",
}


@pytest.mark.parametrize("code", TEXTS)
def test_languages_are_told_apart(code: str) -> None:
    assert detect_language(TEXTS[code]) == code


def test_the_main_language_wins_over_names_links_and_numbers() -> None:
    table = "| Room | https://example.org/en/rooms | 12.5 |\n" * 20
    assert detect_language(f"# Reisekosten\n\n{TEXTS['de']}\n\n{table}") == "de"


@pytest.mark.parametrize("text", ["", "   ", "12345 67.89", "!!! --- ???", "| |\n| --- |", "\x00\ufffe\ud800"])
def test_what_is_no_language_has_none(text: str) -> None:
    assert detect_language(text) == ""


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("en-GB", "en"),
        ("de_DE", "de"),
        ("zh-Hant", "zh"),
        ("deu", "de"),
        ("iw", "he"),
        ("nb-NO", "no"),
        ("FR", "fr"),
        ("english", ""),
        ("x", ""),
        ("", ""),
    ],
)
def test_language_tags_become_two_letters(tag: str, code: str) -> None:
    assert language_code(tag) == code


def test_a_text_without_spaces_costs_no_more_than_another() -> None:
    began = time.process_time()
    detect_language("a" * 50_000)

    assert time.process_time() - began < 2, "it took ten seconds"
