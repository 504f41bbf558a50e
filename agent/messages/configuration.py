"""Messages about changes of the configuration of a running cluster: cp."""

from __future__ import annotations

from collections.abc import Mapping

from agent.messages.template import Template, error, info, warning

_CHANGES = {
    # %1 server, %2 other servers.
    70: error(
        "Server %1 has another clp.conf than %2 and waits: servers that do not agree on it decide nothing together. "
        "Deliver the right one to it: clpcfctrl --push -h %1.",
        "サーバ %1 の clp.conf は %2 と異なるため待機しています。構成情報が一致しないサーバ同士は判断を共にしません。"
        "正しい構成情報を clpcfctrl --push -h %1 で配布してください。",
    ),
    71: warning(
        "Server %1 runs nothing: its clp.conf is another than that of the servers that it hears.",
        "サーバ %1 は他のサーバと clp.conf が異なるため、何も起動していません。",
    ),
    # %1 cluster, %2 configuration, %3 seconds.
    72: info(
        "All servers of %1 run configuration %2. Unless it is confirmed within %3 s, they return to the one before.",
        "%1 の全サーバが構成情報 %2 で動作しています。%3 秒以内に確定しないと元の構成情報に戻ります。",
    ),
    # %1 cluster, %2 configuration, %3 reason.
    73: warning(
        "%1 returns to configuration %2: %3.",
        "%1 を構成情報 %2 に戻します: %3。",
    ),
    # %1 server, %2 configuration, %3 reason.
    74: info(
        "Server %1 has begun anew with configuration %2 and waits until it hears all others with the same[: %3].",
        "サーバ %1 は構成情報 %2 で再開しました。全サーバが同じ構成情報になるまで待ちます[: %3]。",
    ),
    75: warning(
        "Server %1 has returned to configuration %2[: %3].",
        "サーバ %1 は構成情報 %2 に戻りました[: %3]。",
    ),
    76: error(
        "Server %1 could not exchange its configuration and goes on with the one that it has[: %2].",
        "サーバ %1 は構成情報を切り替えられませんでした。現在の構成情報で続行します[: %2]。",
    ),
    77: info(
        "Server %1: configuration %2 is confirmed and stays.",
        "サーバ %1: 構成情報 %2 を確定しました。",
    ),
    78: warning(
        "Server %1 returns by itself to the configuration before: %2.",
        "サーバ %1 は単独で元の構成情報に戻ります: %2。",
    ),
    79: info(
        "Server %1 goes to the new configuration after all: %2.",
        "サーバ %1 は改めて新しい構成情報に切り替えます: %2。",
    ),
    # %1 cluster, %2 configuration, %3 reason.
    80: error(
        "The change of %1 to configuration %2 was given up: %3. Whoever runs it already returns by itself.",
        "%1 の構成情報 %2 への変更を中止しました: %3。切り替え済みのサーバは自動的に元に戻ります。",
    ),
    81: warning(
        "%1 runs configuration %2 again[: %3].",
        "%1 は構成情報 %2 に戻りました[: %3]。",
    ),
    82: info(
        "%1: configuration %2 is confirmed on all servers.",
        "%1: 構成情報 %2 は全サーバで確定しました。",
    ),
}

MESSAGES: Mapping[tuple[str, int], Template] = {("cp", number): template for number, template in _CHANGES.items()}
