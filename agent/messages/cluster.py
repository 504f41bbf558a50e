"""Messages about servers, their processes, heartbeats, views and requests: pm, nm, cp, apisv."""

from __future__ import annotations

from collections.abc import Mapping

from agent.messages.template import Template, error, info, warning

# %1 server, process or file; %2 reason.
_PROCESSES = {
    1: info(
        "The cluster service starts on %1[ (%2)].",
        "%1 でクラスタサービスを開始します[ (%2)]。",
    ),
    2: info(
        "The cluster service on %1 has stopped[: %2].",
        "%1 のクラスタサービスが停止しました[: %2]。",
    ),
    3: info(
        "Self-fencing is on: %1 is reset if its cluster processes stop responding[ (%2)].",
        "自己フェンシングが有効です。クラスタプロセスが応答しなくなると %1 はリセットされます[ (%2)]。",
    ),
    10: error(
        "The cluster service is already running on %1; this second start was given up.",
        "%1 ではクラスタサービスが既に動作中です。2 回目の起動を中止しました。",
    ),
    11: error(
        "The cluster service on %1 cannot go on: %2.",
        "%1 のクラスタサービスは続行できません: %2。",
    ),
    13: error(
        "The configuration %1 cannot be used[: %2]. Nothing was started or moved.",
        "構成情報 %1 は使用できません[: %2]。何も起動・移動していません。",
    ),
    14: error(
        "There is no configuration: %1 was not found. Put clp.conf there and start the cluster service again.",
        "構成情報がありません: %1 が見つかりません。clp.conf を置いてクラスタサービスを再起動してください。",
    ),
    15: error(
        "Server %1 is not in the configuration[ %2]. Check its host name, or add it to clp.conf.",
        "サーバ %1 は構成情報[ %2 ]にありません。ホスト名を確認するか、clp.conf に追加してください。",
    ),
    20: error(
        "Process %1 has died[: %2].",
        "プロセス %1 が異常終了しました[: %2]。",
    ),
    21: error(
        "Server %1 is being stopped because of a failed cluster process[: %2].",
        "クラスタプロセスの異常のためサーバ %1 を停止します[: %2]。",
    ),
    22: error(
        "Process %1 could not be started[: %2].",
        "プロセス %1 を起動できませんでした[: %2]。",
    ),
    23: warning(
        "Server %1 is being shut down[: %2].",
        "サーバ %1 をシャットダウンします[: %2]。",
    ),
    24: warning(
        "The cluster service on %1 is being stopped[: %2].",
        "%1 のクラスタサービスを停止します[: %2]。",
    ),
    25: warning(
        "Server %1 is being rebooted[: %2].",
        "サーバ %1 を再起動します[: %2]。",
    ),
    26: warning(
        "Process %1 was restarted[: %2].",
        "プロセス %1 を再起動しました[: %2]。",
    ),
    # %1 who asked, %2 server or cluster.
    30: info(
        "%1 asks to shut down %2.",
        "%1 から %2 のシャットダウン要求がありました。",
    ),
    31: info(
        "%1 asks to stop the cluster service on %2.",
        "%1 から %2 のクラスタサービス停止要求がありました。",
    ),
    32: info(
        "%1 asks to reboot %2.",
        "%1 から %2 の再起動要求がありました。",
    ),
    33: info(
        "%1 asks to start the cluster service on %2.",
        "%1 から %2 のクラスタサービス開始要求がありました。",
    ),
    34: info(
        "%1 asks to resume cluster %2.",
        "%1 からクラスタ %2 のリジューム要求がありました。",
    ),
    35: info(
        "%1 asks to suspend cluster %2.",
        "%1 からクラスタ %2 のサスペンド要求がありました。",
    ),
}

# %1 server or heartbeat, %2 server or reason, %3 reason.
_SERVERS = {
    1: info(
        "Server %1 is up.",
        "サーバ %1 が起動しました。",
    ),
    2: warning(
        "Server %1 is down[: %2].",
        "サーバ %1 が停止しました[: %2]。",
    ),
    3: info(
        "Heartbeat %1 to server %2 works[: %3].",
        "サーバ %2 へのハートビート %1 は正常です[: %3]。",
    ),
    4: warning(
        "Heartbeat %1 to server %2 is lost[: %3].",
        "サーバ %2 へのハートビート %1 が途絶えました[: %3]。",
    ),
    5: info(
        "Waiting at start-up for servers: %1[ (at most %2 s)].",
        "起動待ち合わせ中のサーバ: %1[ (最大 %2 秒)]。",
    ),
    6: info(
        "All servers are here; the start-up wait is over.",
        "全サーバが揃いました。起動待ち合わせを終了します。",
    ),
    7: warning(
        "The start-up wait is over without: %1. The cluster goes on with the servers that are here.",
        "起動待ち合わせが時間切れです。不在のサーバ: %1。揃っているサーバで続行します。",
    ),
    10: warning(
        "The state of heartbeat %1 to server %2 is not known[: %3].",
        "サーバ %2 へのハートビート %1 の状態が不明です[: %3]。",
    ),
    20: error(
        "The heartbeat process has died[: %1].",
        "ハートビートプロセスが異常終了しました[: %1]。",
    ),
    30: error(
        "A network partition was found: %1 is on the losing side[: %2].",
        "ネットワークパーティションを検出しました。%1 は劣勢側です[: %2]。",
    ),
    31: error(
        "Network partition resolution %1 could not be checked[: %2].",
        "ネットワークパーティション解決 %1 を確認できませんでした[: %2]。",
    ),
    32: error(
        "Server %1 shuts itself down: %2.",
        "サーバ %1 は自らシャットダウンします: %2。",
    ),
    33: error(
        "Server %1 stops its cluster service: %2.",
        "サーバ %1 はクラスタサービスを停止します: %2。",
    ),
    36: info(
        "The network partition is over[: %1].",
        "ネットワークパーティションは解消しました[: %1]。",
    ),
    37: warning(
        "Network partition resolution %1 has failed[: %2].",
        "ネットワークパーティション解決 %1 が異常です[: %2]。",
    ),
    39: info(
        "The failover of %1 was called off[: %2].",
        "%1 のフェイルオーバを取り消しました[: %2]。",
    ),
    80: warning(
        "No connection to the cluster service on %1[: %2]. Its heartbeats decide whether it lives.",
        "%1 のクラスタサービスと通信できません[: %2]。生存はハートビートで判定します。",
    ),
    81: info(
        "The connection to the cluster service on %1 is back.",
        "%1 のクラスタサービスとの通信が回復しました。",
    ),
}

# The cluster protocol: what the original has no number for.
_PROTOCOL = {
    # %1 epoch, %2 members or reason, %3 coordinator.
    1: info(
        "Proposing view %1 with members %2.",
        "ビュー %1 を提案します (メンバー: %2)。",
    ),
    2: info(
        "View %1 is in force with members %2[; %3 coordinates].",
        "ビュー %1 が有効になりました (メンバー: %2[、調整役: %3])。",
    ),
    3: warning(
        "A proposed view was not agreed on (%1): %2.",
        "提案したビューは合意されませんでした (%1): %2。",
    ),
    # %1 server.
    4: warning(
        "Server %1 did not run[ for %2 s] and no longer trusts what it knew: it asks the others before it acts.",
        "サーバ %1 は[ %2 秒間 ]停止していたため、手元の情報を信用せず、他のサーバに確認してから動作します。",
    ),
    5: error(
        "Server %1 was left out by a newer view (%2)[: %3]. It stops what it still runs.",
        "サーバ %1 は新しいビュー (%2) から除外されました[: %3]。動作中のものを停止します。",
    ),
    6: info(
        "Waiting at start-up for %1[ (at most %2 s)].",
        "起動時に %1 を待っています[ (最大 %2 秒)]。",
    ),
    7: error(
        "Server %1 has lost its lease: no majority confirms to hear it[ (%2 s)]. It must stop its groups.",
        "サーバ %1 はリースを失いました。過半数のサーバから応答がありません[ (%2 秒)]。グループを停止します。",
    ),
    8: info(
        "Server %1 holds its lease: a majority hears it.",
        "サーバ %1 はリースを保持しています (過半数のサーバが受信を確認しています)。",
    ),
    9: info(
        "No action: %1.",
        "何もしません: %1。",
    ),
    # %1 group or resource.
    10: info(
        "Not taking over %1: %2.",
        "%1 を引き継ぎません: %2。",
    ),
    11: info(
        "After a restart of the cluster service, resource %1 is adopted as it is[: %2].",
        "クラスタサービスの再起動後、リソース %1 を現状のまま引き継ぎました[: %2]。",
    ),
    12: error(
        "Group %1 was active on several servers; %2 keeps it[: %3].",
        "グループ %1 が複数のサーバで活性していました。%2 で継続します[: %3]。",
    ),
    13: warning(
        "The cluster service on %1 has died for good; its groups were stopped there and may move.",
        "%1 のクラスタサービスは復帰不能です。グループは停止済みで、移動できます。",
    ),
    14: warning(
        "Server %1 lives but does not hear this server[ (silent for %2 s)].",
        "サーバ %1 は動作していますが、このサーバのハートビートが届いていません[ (%2 秒間)]。",
    ),
    15: info(
        "Waiting until %1 has certainly stopped before its groups move[ (%2)].",
        "%1 が確実に停止するまで、グループの移動を待っています[ (%2)]。",
    ),
    # %1 cluster.
    16: warning(
        "Cluster %1 is suspended: nothing is started, moved or recovered by itself until it is resumed.",
        "クラスタ %1 はサスペンド中です。リジュームするまで自動的な起動・移動・回復は行われません。",
    ),
    17: info(
        "Cluster %1 is resumed.",
        "クラスタ %1 をリジュームしました。",
    ),
    # %1 server.
    18: warning(
        "Server %1 hears no majority of the servers and has stopped its groups; they may move.",
        "サーバ %1 は過半数のサーバからの通信を受信できず、グループを停止しました。グループは移動できます。",
    ),
    19: info(
        "Server %1 has been silent for %2 s: the others agree on going on without it, should it be lost.",
        "サーバ %1 から %2 秒間受信がありません。失われた場合に備え、他のサーバで合意します。",
    ),
    # %1 network partition resource.
    20: info(
        "%1 is reached.",
        "%1 に到達できます。",
    ),
    21: warning(
        "%1 is not reached[: %2].",
        "%1 に到達できません[: %2]。",
    ),
    22: warning(
        "%1 does not grant the view that this server proposes[: %2].",
        "%1 はこのサーバが提案したビューを承認しません[: %2]。",
    ),
    # %1 server.
    23: error(
        "Server %1 is cut off: it misses %2 and reaches no ping target. It stops its groups.",
        "サーバ %1 は孤立しました。%2 からの受信がなく、ping にも応答がありません。グループを停止します。",
    ),
    24: error(
        "Server %1 is on the losing side of a network partition. Action at partition: %2.",
        "サーバ %1 はネットワーク分断で失われた側です。分断時の動作: %2。",
    ),
    25: error(
        "By the word of %2, %1 is off. If it is not, groups may now be active twice.",
        "%2 の申告により %1 は停止しているとみなします。停止していない場合、グループが二重に活性する恐れがあります。",
    ),
    # %1 network partition resource, %2 epoch, %3 members.
    26: info(
        "%1 grants view %2 of %3.",
        "%1 はビュー %2 (メンバー: %3) を承認しました。",
    ),
}

# Numbers of our own, below those of the original: %1 who asked, %2 what, %3 reason or result.
_REQUESTS = {
    1: info(
        "Request from %1 accepted: %2[ (%3)].",
        "%1 からの要求を受け付けました: %2[ (%3)]。",
    ),
    2: warning(
        "Request from %1 refused: %2[: %3].",
        "%1 からの要求を拒否しました: %2[: %3]。",
    ),
    3: info(
        "Request from %1 done: %2[: %3].",
        "%1 からの要求が完了しました: %2[: %3]。",
    ),
    4: error(
        "Request from %1 failed: %2[: %3].",
        "%1 からの要求が失敗しました: %2[: %3]。",
    ),
    5: info(
        "Request from %1 waits: %2[: %3].",
        "%1 からの要求は待機中です: %2[: %3]。",
    ),
    6: info(
        "Request from %1 was handed to server %3: %2.",
        "%1 からの要求をサーバ %3 に渡しました: %2。",
    ),
    7: warning(
        "Request from %1 got no answer in time: %2[: %3]. Look at the state before you repeat it.",
        "%1 からの要求に時間内の応答がありません: %2[: %3]。状態を確認してから再実行してください。",
    ),
    8: info(
        "Request from %1 is overtaken by a later one: %2[: %3].",
        "%1 からの要求は後の要求に置き換えられました: %2[: %3]。",
    ),
}

MESSAGES: Mapping[tuple[str, int], Template] = {
    (module, event): template
    for module, part in (("pm", _PROCESSES), ("nm", _SERVERS), ("cp", _PROTOCOL), ("apisv", _REQUESTS))
    for event, template in part.items()
}
