"""Messages about alerts themselves: alert."""

from __future__ import annotations

from collections.abc import Mapping

from agent.messages.template import Template, info, warning

# %1 way (mail, trap ...), %2 reason or number.
_ALERTS = {
    1: warning(
        "Alerts cannot be sent by %1: %2. They wait and are sent later.",
        "%1 でアラートを送信できません: %2。アラートは保存され、後で送信されます。",
    ),
    2: info(
        "Alerts are sent by %1 again.",
        "%1 によるアラートの送信が回復しました。",
    ),
    3: warning(
        "%2 alerts were not sent by %1: too many were waiting, or they waited too long.",
        "待機数または待機時間の上限を超えたため、%2 件のアラートを %1 で送信できませんでした。",
    ),
    # %1 server, %2 number.
    4: warning(
        "%2 alerts of %1 are missing here: they were dropped everywhere before this server could take them.",
        "%1 のアラート %2 件が欠落しています。このサーバが受信する前に全サーバから削除されました。",
    ),
    # %1 reason.
    5: warning(
        "Alerts are not exchanged as they should be: %1.",
        "アラートの同期に問題があります: %1。",
    ),
}

MESSAGES: Mapping[tuple[str, int], Template] = {("alert", number): template for number, template in _ALERTS.items()}
