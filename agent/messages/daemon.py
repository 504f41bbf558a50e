"""Messages of the daemon itself, about its links, its files and its own health: cp from 30 up."""

from __future__ import annotations

from collections.abc import Mapping

from agent.messages.template import Template, error, info, warning

# %1 server, file, process or address; %2 a reason, which is a whole sentence without its full stop.
_DAEMON = {
    30: warning(
        "The link to %1 was refused: %2.",
        "%1 とのリンクを拒否しました: %2。",
    ),
    31: error(
        "The state of server %1 cannot be written: %2. Make room on that disk.",
        "サーバ %1 の状態ファイルを書き込めません: %2。ディスクの空きを確保してください。",
    ),
    32: error(
        "After the death of its daemon, %1 could not stop everything that it held: %2.",
        "デーモンの異常終了後、%1 で停止できないものがあります: %2。",
    ),
    33: warning(
        "The configuration is used in spite of this: %1.",
        "構成情報に次の指摘がありますが、そのまま使用します: %1。",
    ),
    34: warning(
        "%1 still held %2 from an earlier run and stopped it.",
        "%1 は以前の実行から残っていた %2 を停止しました。",
    ),
    35: info("Heartbeats: %1.", "ハートビート: %1。"),
    36: warning("Heartbeats: %1.", "ハートビート: %1。"),
    37: error("Heartbeats: %1.", "ハートビート: %1。"),
    38: warning(
        "No connection to the manager at %1: %2. The cluster works without it.",
        "マネージャ %1 に接続できません: %2。クラスタの動作に影響はありません。",
    ),
    39: error(
        "No manager is told anything: %1.",
        "マネージャに通知できません: %1。",
    ),
    40: warning(
        "Monitor %1 does not run: %2.",
        "モニタ %1 は動作しません: %2。",
    ),
    41: error(
        "Server %1 is being stopped (%2): %3.",
        "サーバ %1 を停止します (%2): %3。",
    ),
    42: error(
        "%1 could not stop %2 left over from an earlier run, so its cluster service stays stopped: %3. "
        "Stop it by hand, then start the service (clpcl -s).",
        "%1 は以前の実行から残っている %2 を停止できないため、クラスタサービスを開始しません: %3。"
        "手動で停止してからサービスを開始してください (clpcl -s)。",
    ),
    # %1 server, %2 and %3 configurations, %4 reason.
    43: warning(
        "%1 does not start with configuration %2, but with %3, which was in force before: %4.",
        "%1 は構成情報 %2 ではなく、以前の構成情報 %3 で起動します: %4。",
    ),
}

MESSAGES: Mapping[tuple[str, int], Template] = {("cp", number): template for number, template in _DAEMON.items()}
