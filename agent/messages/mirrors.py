"""Messages about mirror disks: md."""

from __future__ import annotations

from collections.abc import Mapping

from agent.messages.template import Template, error, info, warning

ALONE, STALLED, COPIES, PROGRESS, EQUAL, SPLIT, DIFFERS, FAULT = 1, 2, 3, 4, 5, 6, 7, 8
REFUSED, STOOD_DOWN, FORCED, DIED, WAITS, CONSTRUCTED, UNUSABLE, STUCK, REPLACED = 9, 10, 11, 12, 13, 14, 15, 16, 17
LET_GO = 18
INFO, WARNING, ERROR = 20, 21, 22
SEPARATED, JOINS, JOINS_ALL, RESTORES, RESTORED, THAWED = 30, 31, 32, 33, 34, 35

# %1 mirror disk, %2 server that speaks, %3 the other server.
_MIRRORS = {
    ALONE: warning(
        "The mirror %1 is broken: %2 goes on alone, and %3 lacks what is written from now on.",
        "ミラー %1 が切断されました: %2 は単独で動作を続けます。以後の書き込みは %3 に反映されません。",
    ),
    STALLED: error(
        "Writes to the mirror %1 on %2 wait: %3 does not answer, and nobody has said yet that %2 may go on without it.",
        "%2 のミラー %1 への書き込みが待たされています: %3 から応答がなく、単独での続行がまだ許可されていません。",
    ),
    # %4 how much.
    COPIES: info(
        "The mirror %1 is being made equal: %2 copies %4 to %3.",
        "ミラー %1 の復帰を開始しました: %2 から %3 へ %4 をコピーします。",
    ),
    # %2 percent, %3 remaining time in words.
    PROGRESS: info(
        "The mirror %1: %2 % of the copy is done[, %3 to go].",
        "ミラー %1: コピーの %2 % が完了しました[ (残り %3)]。",
    ),
    EQUAL: info(
        "The mirror %1 is whole again: %2 and %3 have the same data.",
        "ミラー %1 は正常に戻りました: %2 と %3 のデータは同じです。",
    ),
    # %3 why.
    SPLIT: error(
        "The mirror %1 cannot join on %2: %3. Compare what each side would lose, then force the recovery from the "
        "server whose data shall stay (clpmdctrl --force %1).",
        "%2 のミラー %1 は再結合できません: %3。双方の失われるデータを確認し、残すサーバからの強制復帰"
        "(clpmdctrl --force %1) を行ってください。",
    ),
    # %2 how much.
    DIFFERS: error(
        "The comparison of the mirror %1 found %2 that differ though both sides call themselves equal.",
        "ミラー %1 の比較で、同じであるはずのデータに %2 の相違が見つかりました。",
    ),
    FAULT: error("The mirror %1 on %2: %3.", "%2 のミラー %1: %3。"),
    REFUSED: error(
        "The mirror %1 was not activated on %2: %3.",
        "%2 でミラー %1 を活性化できませんでした: %3。",
    ),
    STOOD_DOWN: error(
        "The mirror %1 on %2 has stood down: %3. What its applications write there fails.",
        "%2 のミラー %1 は非活性になりました: %3。アプリケーションの書き込みはエラーになります。",
    ),
    FORCED: warning(
        "The mirror %1 was activated on %2 by force: its data count from now on, whatever the other side has.",
        "%2 でミラー %1 を強制活性化しました: 以後はこのサーバのデータが最新とみなされます。",
    ),
    DIED: error(
        "The mirror process of %1 on %2 is started anew: %3.",
        "%2 のミラー %1 のプロセスを再起動します: %3。",
    ),
    WAITS: warning(
        "The mirror %1 waits on %2: %3. It goes on when the other server is back. If that one is lost for good, take "
        "the loss with clpmdctrl --force %1.",
        "%2 のミラー %1 は待機しています: %3。他方のサーバが復帰すると続行します。復帰できない場合は "
        "clpmdctrl --force %1 で強制してください。",
    ),
    CONSTRUCTED: info(
        "The mirror %1 is constructed for the first time: the disk of %2 is the first truth.",
        "ミラー %1 の初期構築を開始しました: %2 のディスクを最新とします。",
    ),
    UNUSABLE: error(
        "The mirror %1 cannot be used on %2: %3.",
        "%2 でミラー %1 を使用できません: %3。",
    ),
    STUCK: error(
        "The mirror process of %1 on %2 does not answer and cannot be ended: %3. A disk may hang.",
        "%2 のミラー %1 のプロセスが応答せず、終了もできません: %3。ディスクがハングしている可能性があります。",
    ),
    REPLACED: info(
        "The mirror process of %1 on %2 is started anew with other settings.",
        "%2 のミラー %1 のプロセスを新しい設定で再起動します。",
    ),
    LET_GO: warning(
        "The group of the mirror %1 stops on %2 while its writes wait for %3: they fail now, so that it can stop. "
        "None of them was acknowledged.",
        "%2 でミラー %1 のグループを停止中ですが、書き込みが %3 を待っています: 停止できるよう書き込みを失敗させます。"
        "いずれも完了通知はされていません。",
    ),
    SEPARATED: info(
        "The side of %2 of the mirror %1 was separated for a backup: %3 goes on alone until it joins again "
        "(clpbackup --post).",
        "バックアップのためミラー %1 の %2 側を切り離しました: 再結合 (clpbackup --post) まで %3 が単独で動作します。",
    ),
    JOINS: info(
        "The backup of the mirror %1 on %2 has ended: it joins again, and what differs is copied.",
        "%2 でのミラー %1 のバックアップが終了しました: 再結合し、差分をコピーします。",
    ),
    JOINS_ALL: error(
        "The disk of %2 of the mirror %1 was written to by somebody else while it was separated for a backup: "
        "everything is copied to it. Look who mounted it writable.",
        "バックアップのため切り離し中に、ミラー %1 の %2 のディスクが書き換えられました: 全データをコピーします。"
        "書き込み可能でマウントした者を確認してください。",
    ),
    RESTORES: warning(
        "A backup is about to be restored to the mirror %1 on %2: its side is not used until clprestore --post.",
        "%2 でミラー %1 へのバックアップの復元を開始します: clprestore --post までこのサーバ側は使用されません。",
    ),
    RESTORED: warning(
        "A backup was restored to the mirror %1 on %2: its data count from now on.",
        "%2 でミラー %1 へバックアップを復元しました: 以後はこのサーバのデータが最新とみなされます。",
    ),
    # %1 mount point.
    THAWED: warning(
        "The file system at %1 on %2 was held still by a daemon that has died; it is let go.",
        "%2 の %1 のファイルシステムは、終了したデーモンにより停止されていたため、解除しました。",
    ),
    # In the words of the mirror process.
    INFO: info("Mirror %1 on %2: %3.", "%2 のミラー %1: %3。"),
    WARNING: warning("Mirror %1 on %2: %3.", "%2 のミラー %1: %3。"),
    ERROR: error("Mirror %1 on %2: %3.", "%2 のミラー %1: %3。"),
}

MESSAGES: Mapping[tuple[str, int], Template] = {("md", number): text for number, text in _MIRRORS.items()}
