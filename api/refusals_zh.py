"""Refusals in Chinese: what the product says in English, matched by its wording and said again with the same values.

Where a refusal is raised nobody thinks of languages; the sentence is read here once more, at the edge. A hole is a
name in braces, and may say after a colon what it holds:

======== ==============================================================================================
(none)   a value, said as it is
number   digits; `token` a value without spaces: both narrow what a short sentence could mean
word     a word of a fixed list, said in Chinese; another is said as it is
phrase   a word, or a few words that stand in the table
or       values with `or` between the last two
said     a whole sentence of the table
each     sentences of the table, joined by `; `
drop     not said: what Chinese does without
======== ==============================================================================================

`tests/test_refusals_zh.py` reads every sentence out of the source and fails for each that has no line here.
"""

import logging
import re
from collections import defaultdict
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Final

log = logging.getLogger("reserve.api")

LENGTH_MAX = 100_000
"""A longer sentence is said in English."""

DEPTH_MAX = 4
"""A sheet's refusal says a place, which says a cell's fault, which says a value."""

_UNTOLD_MAX = 1_000

TITLES: Final[dict[str, str]] = {
    "Refused": "已拒绝",
    "The request cannot be read": "无法读取请求",
    "A key is needed": "需要密钥",
    "Not allowed": "无权操作",
    "Not found": "未找到",
    "Conflict with the present state": "与当前状态冲突",
    "Too little usable stock": "可用库存不足",
    "A later day would fall below zero": "后续某日结存将为负",
    "The same lot with another date": "同一批号的有效期至不一致",
    "The lot has expired": "批号已过期",
    "The lot is on hold": "批号已冻结",
    "Already reversed": "已冲销",
    "A reversal cannot be reversed": "冲销不能再冲销",
    "The code is taken": "编码已被占用",
    "A value is not valid": "值无效",
    "Unknown item": "未知物资",
    "Unknown location": "未知库点",
    "Unknown lot": "未知批号",
    "Unknown planned receipt": "未知预计到货",
    "Unknown trade item number": "未知 GTIN",
    "The Idempotency-Key belongs to another request": "该 Idempotency-Key 属于另一请求",
    "The sheet was refused": "表格未被接受",
    "The day is out of bounds": "日期超出范围",
    "Not now": "暂时无法处理",
    "Busy": "系统繁忙",
    "The disk is full": "磁盘已满",
    "The database does not answer": "数据库无响应",
    "The database is of another version": "数据库版本不符",
    "The scan cannot be read": "无法读取扫码",
    "A second person is needed": "须由第二人办理",
    "The request is too large": "请求过大",
    "Another content type is needed": "内容类型不符",
    "That form is not offered": "不提供该格式",
    "Internal error": "系统内部错误",
    "Not Found": "未找到",
    "Method Not Allowed": "不支持的请求方法",
    "Bad Request": "请求有误",
    "Unauthorized": "需要密钥",
    "Forbidden": "无权操作",
}

WORDS: Final[dict[str, str]] = {
    "none": "无",
    "empty": "空",
    "older": "旧版本",
    "the books": "台账",
    "quarantine": "隔离",
    "recall": "召回",
    "damage": "损坏",
    "inspection": "待验收",
    "requested": "待批准",
    "open": "进行中",
    "approved": "已批准",
    "refused": "已驳回",
    "closed": "已结束",
    "cancelled": "已取消",
}

SENTENCES: Final[dict[str, str]] = {
    # access, keys, the desk
    "Norms of use hold for every place: a manager of the whole tree records them.": (
        "用量定额适用于所有地点：请由最上级（全市）的管理员录入。"
    ),
    "Your key does not reach that place, or its role may not do this. Ask an admin for another key.": (
        "您的密钥不包括该库点，或其角色无权做此操作。请向管理员申请其他密钥。"
    ),
    "Send a valid key as `Authorization: Bearer rsv_...`; `reserve key create` makes one.": (
        "请以 `Authorization: Bearer rsv_...` 提供有效密钥；可用 `reserve key create` 新建。"
    ),
    "A name has 1 to 100 printable characters; it is written into every document: use --as NAME.": (
        "姓名为 1 至 100 个可见字符，会写入每份单据：请用 --as NAME 指定。"
    ),
    "There are {tops} locations at the top: say --at CODE.": "顶层有 {tops} 个库点：请用 --at CODE 指定。",
    "A key's name has 1 to 100 printable characters; it is written into every document.": (
        "密钥名称为 1 至 100 个可见字符，会写入每份单据，请修改。"
    ),
    "There is no key {key} in use; see `reserve key list`.": "没有在用的密钥 {key}；请用 `reserve key list` 查看。",
    "{parameter} is no parameter of a recording; nothing was recorded.": (
        "{parameter} 不是录入可用的参数；未作任何记录，请去掉后重新提交。"
    ),
    "An Idempotency-Key has 1 to 200 printable ASCII characters.": (
        "Idempotency-Key 为 1 至 200 个可打印 ASCII 字符，请修改。"
    ),
    "This Idempotency-Key was used for another request; make a new key for a new entry.": (
        "该 Idempotency-Key 已用于另一请求；新的录入请换用新的键。"
    ),
    "This cursor is not one of ours; use next_cursor as it was answered.": (
        "该游标不是本系统给出的；请原样使用返回的 next_cursor。"
    ),
    "There is no receiver {receiver}.": "没有接收人 {receiver}，请核对编号。",
    "The pages are open to this machine only; the operator can open them by RESERVE_PAGES=open. The API takes keys.": (
        "页面仅限本机访问；运维人员可设 RESERVE_PAGES=open 开放。接口请使用密钥。"
    ),
    # places, items, packs
    "There is no location {location}.": "没有库点 {location}，请核对编码。",
    "There is no location {location}; see GET /v1/locations.": "没有库点 {location}；请查看 GET /v1/locations。",
    "There is no location {location}; see GET /v1/locations for the codes in use.": (
        "没有库点 {location}；在用编码请查看 GET /v1/locations。"
    ),
    "There is no item {item}.": "没有物资 {item}，请核对编码。",
    "There is no item {item}; see GET /v1/items.": "没有物资 {item}；请查看 GET /v1/items。",
    "There is no such item; see GET /v1/items.": "没有这种物资；请查看 GET /v1/items。",
    "{text} is not a GTIN: 8, 12, 13 or 14 digits are expected.": (
        "{text} 不是 GTIN：应为 8、12、13 或 14 位数字，请核对。"
    ),
    "The check digit of {gtin} is wrong: read the number again.": "{gtin} 的校验位有误：请重新读取号码。",
    "There is already an item {item}; choose another code.": "已有物资 {item}；请改用其他编码。",
    "A pack has that GTIN already: {numbers}.": "已有包装规格使用该 GTIN：{numbers}，请核对。",
    "A pack has that GTIN already: the same number twice.": "已有包装规格使用该 GTIN：同一号码出现两次，请核对。",
    "A location of kind {kind} is the product's own; use one of the kinds inside the reserve.": (
        "类型为 {kind} 的库点由系统自用；请选用储备内部的类型。"
    ),
    "There is already a location {location}; choose another code.": "已有库点 {location}；请改用其他编码。",
    "{location} is not a store: goods are inspected where they are received.": (
        "{location} 不是仓库：货物在入库的库点验收，请改选库点。"
    ),
    "A pack holds 1 to 10^15 base units, not {units}.": "每个包装含 1 至 10^15 个基本单位，不能是 {units}，请核对。",
    "{location} is too long a code to name its bay after; 36 characters at most.": (
        "{location} 的编码过长，无法为其待检区命名；请不超过 36 个字符。"
    ),
    "{location} is a region; a stock card is of one store. Ask for one of: {stores}.": (
        "{location} 是区域；库存台账只针对一个仓库。请改查其中之一：{stores}。"
    ),
    "{location} is a region; a stock card is of one store. Ask for one of: none below it has ever held this item.": (
        "{location} 是区域；库存台账只针对一个仓库。其下没有仓库存放过该物资，请核对物资编码。"
    ),
    "No pack has the GTIN {gtin}; add it to its item first.": (
        "没有 GTIN 为 {gtin} 的包装规格；请先将其添加到所属物资。"
    ),
    "GTIN {gtin} is a pack of {its}, not of {item}.": "GTIN {gtin} 是 {its} 的包装规格，不是 {item} 的，请核对。",
    "{end} is not an outside end of the reserve.": "{end} 不是储备之外的一端，请核对。",
    # quantities, lines
    "A quantity is a whole number of base units, 1 to 10^15.": "数量应为基本单位的整数，1 至 10^15，请修改。",
    "More than 10^15 units of one lot at one place cannot be real: check the quantity.": (
        "一个库点的一个批号不可能超过 10^15：请核对数量。"
    ),
    "A document has at least one line.": "单据至少有一行，请补充。",
    "A line needs an item or a gtin.": "每行须有 item 或 gtin，请补充。",
    "item or gtin": "item 或 gtin",
    "no lines": "没有任何行",
    "Send at least one line.": "请至少提交一行。",
    "Say how much came in either as quantity (base units) or as packs.": (
        "请用 quantity（基本单位）或 packs（包装数）之一说明入库数量。"
    ),
    "A number of packs needs the pack's gtin.": "填写包装数时，请同时给出该包装的 gtin。",
    "An adjustment of 0 changes nothing; leave the line out.": "调整数量为 0 没有变化；请去掉该行。",
    "Use one of {choices}.": "请选用其中之一：{choices}。",
    "A receipt has one origin: {origins:or}, not both.": "一次入库只有一个来源：{origins}，不能同时填写，请保留一个。",
    "A restriction is a donor's: name the donor.": "限定用途由捐赠人提出：请填写捐赠人。",
    # lots
    "There is no lot {lot} of this item.": "该物资没有批号 {lot}，请核对。",
    "There is no lot {lot} of {item}.": "{item} 没有批号 {lot}，请核对。",
    "There is no lot {lot} of {item} to take from.": "{item} 没有可扣减的批号 {lot}，请核对。",
    "There is no lot {lot} of {item} here; see GET /v1/stock.": (
        "该库点没有 {item} 的批号 {lot}；请查看 GET /v1/stock。"
    ),
    "There is no lot {lot} of {item} waiting for inspection; see GET /v1/stock.": (
        "{item} 没有待验收的批号 {lot}；请查看 GET /v1/stock。"
    ),
    "There is no lot {lot} of {item} in transfer {transfer}; see GET /v1/stock.": (
        "调拨单 {transfer} 中没有 {item} 的批号 {lot}；请查看 GET /v1/stock。"
    ),
    "Lot {lot} is on hold already ({reason:word}).": "批号 {lot} 已冻结（{reason}），无需再次冻结。",
    "Lot {lot} is not on hold.": "批号 {lot} 未冻结，无需解冻，请核对批号。",
    "This item expires: give lot {lot} its last usable day.": "该物资有有效期：请填写批号 {lot} 的有效期至。",
    "{item} expires: give the lot's last usable day.": "{item} 有有效期：请填写该批号的有效期至。",
    "Lot {lot} is new and {item} expires: give its last usable day.": (
        "批号 {lot} 是新批号，而 {item} 有有效期：请填写其有效期至。"
    ),
    "{item} expires and this lot has no date: give the lot its last usable day first.": (
        "{item} 有有效期，而该批号没有日期：请先填写该批号的有效期至。"
    ),
    "Lot {lot} would expire before it was made: check both dates.": (
        "批号 {lot} 的有效期至早于生产日期：请核对这两个日期。"
    ),
    "Lot {lot} was made after it expires: check both dates.": "批号 {lot} 的生产日期晚于有效期至：请核对这两个日期。",
    "Lot {lot} is known with expiry {there:word}, this entry says {said:word}: read the label again.": (
        "批号 {lot} 在册的有效期至为 {there}，本次录入为 {said}：请重新核对标签。"
    ),
    (
        "Lot {lot} is known with expiry {there:word}, and this code says {said:word}: keep the goods apart and let "
        "a manager put the dates right."
    ): "批号 {lot} 在册的有效期至为 {there}，而此码为 {said}：请将货物单独存放，并请主管更正日期。",
    "Lot {lot} is known with expiry {there:word}: read the label again.": (
        "批号 {lot} 在册的有效期至为 {there}：请重新核对标签。"
    ),
    "Lot {lot} expired on {day}; expired goods are not taken in.": (
        "批号 {lot} 已于 {day} 过期；过期货物不得入库，请核对标签。"
    ),
    "Lot {lot} of {item} does not lie here.": "该库点没有 {item} 的批号 {lot}，请核对。",
    "Lot {lot} of {item} does not lie here by the books.": "按台账，该库点没有 {item} 的批号 {lot}，请核对。",
    "Lot {lot} expired on {day} and may not be handed out.": "批号 {lot} 已于 {day} 过期，不得发放，请改用其他批号。",
    "Lot {lot} is on hold and may not be handed out.": "批号 {lot} 已冻结，不得发放，请改用其他批号。",
    "Lot {first} expires first ({day}); take it, or say in override_reason why lot {lot} goes out instead.": (
        "批号 {first} 更早到期（{day}）；请先用它，或在 override_reason 中说明为何改发批号 {lot}。"
    ),
    (
        "Lot {lot} of {item} may be used until {day:word} and has not expired. If it cannot be used, say damaged "
        "or recalled."
    ): ("{item} 的批号 {lot} 有效期至 {day}，尚未过期。如不能使用，请将原因填为 damaged（损坏）或 recalled（召回）。"),
    # too little
    "Too little usable stock, nothing was moved: {lines:each}. Ask for less, or receive more first.": (
        "可用库存不足，未作任何出库：{lines}。请减少数量，或先入库。"
    ),
    "{item:token}: {requested:number} requested, {usable:number} usable of {on_hand:number}": (
        "{item} 申请 {requested}，现有 {on_hand}，可用 {usable}"
    ),
    (
        "{item:token}: {requested:number} requested, {usable:number} usable of {on_hand:number} ({promised:number} "
        "more are promised to requisitions)"
    ): "{item} 申请 {requested}，现有 {on_hand}，可用 {usable}（另有 {promised} 已分配给请领单）",
    "{usable:number} usable of {on_hand:number}": "现有 {on_hand}，可用 {usable}",
    "The books hold too little, nothing was changed: {lines:each}.": (
        "台账结存不足，未作任何更改：{lines}。请核对数量。"
    ),
    "{item:token} lot {lot:token}: {usable:number} there, {requested:number} less": (
        "{item} 批号 {lot} 现有 {usable}，要减少 {requested}"
    ),
    "{usable:number} there": "现有 {usable}",
    (
        "With this entry {item} would fall to {balance} on {day}: what was there has been handed out since. Enter "
        "less, or reverse the later entry first."
    ): "按此录入，{item} 的结存将在 {day} 降至 {balance}：当时的库存此后已发放。请减少数量，或先冲销后来的单据。",
    "The goods are no longer there; nothing was moved. Reverse what has taken them first.": (
        "货物已不在原处；未作任何变动。请先冲销取走这些货物的单据。"
    ),
    (
        "Lot {lot} of {item} was counted on {day} and that was approved: no earlier entry is made. Record it as an "
        "adjustment of today."
    ): "{item} 的批号 {lot} 已于 {day} 盘点并批准：不能再补录更早的单据。请作为今天的调整录入。",
    # dates of entries
    "{moment} lies outside the calendar; check the year.": "{moment} 超出日历范围；请核对年份。",
    "{moment} lies in the future; check the clock of the device.": "{moment} 晚于当前时间；请核对设备的时钟。",
    (
        "{day} is too long ago: entries may be dated back {days:number} days, to {earliest}. An older correction "
        "is an adjustment of today."
    ): "{day} 过早：最多可补录 {days} 天前的单据，即 {earliest} 起。更早的更正请作为今天的调整录入。",
    "A day lies between 1990 and 2100.": "日期应在 1990 年至 2100 年之间，请修改。",
    "Write a moment with its offset, 2026-04-01T10:00:00+08:00.": "时刻请带时区偏移，例如 2026-04-01T10:00:00+08:00。",
    "{day} has not been yet; today is {today}. Ask for a projection.": "{day} 尚未到来；今天是 {today}。请改查预测。",
    "The period ends on {end}, before it begins on {start}.": "期间的结束日 {end} 早于开始日 {start}，请修改。",
    "This period has {rows:number} rows, a file holds {most:number}: ask for a shorter one.": (
        "该期间有 {rows} 行，一个文件最多 {most} 行：请缩短期间。"
    ),
    "Say for which scope a past day or another method is asked for.": "查询过去某日或其他方法时，请指明范围。",
    # reversals
    "There is no movement {movement}.": "没有流水 {movement}，请核对编号。",
    "There is no document {document}.": "没有单据 {document}，请核对单号。",
    "Everything of document {document} was reversed before.": "单据 {document} 已全部冲销，无需再次冲销。",
    "This movement is itself a reversal; record what really happened instead.": (
        "该流水本身是冲销，不能再冲销；请按实际发生的情况录入。"
    ),
    "Movement {movement} was reversed by document {document}.": (
        "流水 {movement} 已由单据 {document} 冲销，无需再次冲销。"
    ),
    "Part of this transfer has arrived or been settled; nothing was moved. Reverse that document first.": (
        "该调拨已有部分到货或了结；未作任何变动。请先冲销那份单据。"
    ),
    # transfers
    "{place} cannot send to itself: name another target.": "{place} 不能调拨给自己：请指定其他调入库点。",
    "Goods are sent to a store; {place} is none.": "货物须调往仓库；{place} 不是仓库，请改选。",
    "There is no transfer {transfer}.": "没有调拨单 {transfer}，请核对单号。",
    "The line is not one of this plan: its source and target lie elsewhere. Ask for the plan again.": (
        "该行不属于此计划：其发出库或收货库不在其中。请重新查询计划。"
    ),
    "{giver} can no longer give so much without falling below its rule: ask for the plan again.": (
        "{giver} 若调出这么多将低于要求：请重新查询计划。"
    ),
    "Everything of transfer {transfer} has arrived or been settled; nothing of it is on the road.": (
        "调拨单 {transfer} 已全部到货或了结；没有在途货物。"
    ),
    (
        "With this entry {item} lot {lot:token} would fall to {balance} on the road on {day}. Enter it with the "
        "day on which it came in the end."
    ): "按此录入，{item} 批号 {lot} 的在途量将在 {day} 降至 {balance}。请按最终到货的日期录入。",
    "{transfer} was sent on {day}: nothing of it came before.": "{transfer} 于 {day} 发出：此前不会到货，请核对日期。",
    (
        "More than is on the road, nothing was moved. {line:said} Goods beyond what was sent are a receipt or a "
        "count gain of their own."
    ): "超过在途数量，未作任何变动。{line}多出的货物请另作入库或盘盈录入。",
    "{item:token} lot {lot:token}: {there:number} on the road, {asked:number} entered.": (
        "{item} 批号 {lot}：在途 {there}，录入 {asked}。"
    ),
    # requisitions
    "{item:token} stands twice: ask for it in one line.": "{item} 出现两次：请合并为一行申请。",
    "{promised:number} of {item} are promised, {asked:number} asked for; nothing was moved.": (
        "{item} 已分配 {promised}，本次要求 {asked}；未作任何出库，请减少数量。"
    ),
    "There is no requisition {number}.": "没有请领单 {number}，请核对单号。",
    "Requisition {number} is {state:word}; this cannot be done to it.": "请领单 {number} {state}，不能再做此操作。",
    "{number} was asked for by {person}: another person approves it.": "{number} 由 {person} 申请：请由另一人批准。",
    "{asked:number} of {item} were asked for; grant that or less, in one line.": (
        "{item} 申请了 {asked}；请在一行内批准不超过该数量。"
    ),
    "Lot {lot} of {item} has expired since it was promised. Pick anew: POST /v1/requisitions/{number}/reallocation.": (
        "{item} 的批号 {lot} 在分配后已过期。请重新分配：POST /v1/requisitions/{number}/reallocation。"
    ),
    "Lot {lot} of {item} is on hold since it was promised. Pick anew: POST /v1/requisitions/{number}/reallocation.": (
        "{item} 的批号 {lot} 在分配后已冻结。请重新分配：POST /v1/requisitions/{number}/reallocation。"
    ),
    (
        "Lot {lot} of {item:token}: {asked:number} asked for and {there:number} there. Pick anew: POST "
        "/v1/requisitions/{number}/reallocation."
    ): "{item} 的批号 {lot} 要求 {asked}，现有 {there}。请重新分配：POST /v1/requisitions/{number}/reallocation。",
    # agreements and what is to come
    "There is no agreement {number}.": "没有协议 {number}，请核对编号。",
    "There is no agreement {number} of this kind on {item} to renew; see GET /v1/commitments.": (
        "没有可续签的 {item} 同类协议 {number}；请查看 GET /v1/commitments。"
    ),
    "{number:token} holds until {day:token}; a renewal begins after it.": (
        "{number} 有效至 {day}；续签协议须在其后生效，请修改日期。"
    ),
    "A contract promises a quantity, and no units_per_day.": "合同储备填写 quantity，不填 units_per_day。",
    "Capacity promises units_per_day, and no quantity.": "产能储备填写 units_per_day，不填 quantity。",
    "A lead time is 0 to {days:number} days.": "到货周期为 0 至 {days} 天。",
    "It would end before it begins on {day:token}: check both days.": "终止日早于生效日 {day}：请核对两个日期。",
    "{day:token} has not been yet: record a visit after it was made.": "{day} 尚未到来：请在核查之后再录入。",
    "What was seen is a whole number of base units, 0 to 10^15.": "核查数量为 0 至 10^15 的整数（基本单位）。",
    "{number:token} was ended before: its last day is {day:token}.": "{number} 此前已解除：最后一日为 {day}。",
    "What past days were told stays: say yesterday if it shall count no more from today on.": (
        "以往日期的结果不再改变：如从今日起不再计入，请填昨日。"
    ),
    "{day:token} is its last day anyway: say an earlier one.": "该协议本来就到 {day} 为止：请填更早的日期。",
    "{number:token} ended on {day:token}; nothing can be called of it.": "{number} 已于 {day} 终止，不能再启动。",
    "{number:token} begins on {day:token}; nothing can be called of it before.": (
        "{number} 自 {day} 起生效，此前不能启动。"
    ),
    "{number:token} is for {scope:token}, and {location:token} lies outside: name a place of that scope.": (
        "{number} 适用于 {scope}，{location} 不在其范围内：请填该范围内的库点。"
    ),
    "The line is busy until {day:token} with what was called before: say {free:token} or later.": (
        "生产线在 {day} 前仍在生产此前启动的批次：请填 {free} 或以后的日期。"
    ),
    "{left:number} are left of {number:token}; {asked:number} were asked for and nothing was called.": (
        "{number} 剩余 {left}，本次要求 {asked}；未启动，请减少数量。"
    ),
    "{day:token} has been; say the day on which it is expected.": "{day} 已过：请填预计到货日。",
    "What lies at {place:token} belongs to {owner}: name a place of the reserve's own.": (
        "{place} 的物资属于{owner}：请填储备自有的库点。"
    ),
    "An order that was not made yet is none: give the day on which it was, or leave it.": (
        "尚未下达的订单不能录入：请填实际下单日，或不填。"
    ),
    "It was ordered on {day:token}: nothing of it comes before.": "下单日为 {day}：到货不会更早，请核对日期。",
    "Goods that expire before they come are of no use: check both days.": "到货前即已过期：请核对两个日期。",
    "At so few a day it would take more than ten years: check both numbers.": (
        "按此日产量需十年以上：请核对两个数量。"
    ),
    "There is no planned receipt {number}.": "没有预计到货 {number}，请核对编号。",
    "There is no planned receipt {number:token} for {location:token}; see GET /v1/planned-receipts.": (
        "{location} 没有预计到货 {number}；请查看 GET /v1/planned-receipts。"
    ),
    "{number:token} is of {item:token}, and no line is: name another, or leave it out.": (
        "{number} 的物资是 {item}，本单没有该物资：请填另一编号，或不填。"
    ),
    "{number:token} was ordered on {day:token}: nothing of it came before. Enter the day it came.": (
        "{number} 下单于 {day}：此前不会到货。请填实际到货日。"
    ),
    "Say a quantity, a day, or both.": "请填数量、日期，或两者。",
    "Nothing of {number:token} is still to come; plan another, or reverse the receipt that was wrong.": (
        "{number} 已无待到货数量；请另建预计到货，或冲销录错的入库单。"
    ),
    "{came:number} of {number:token} have come: a quantity in all is never less. Say {same:number} to end it.": (
        "{number} 已到货 {came}：总量不能更少。如需结束，请填 {same}。"
    ),
    # counts
    "There is no count {number}; see GET /v1/counts.": "没有盘点单 {number}；请查看 GET /v1/counts。",
    "{number} was {state:word} by {person}; open another sheet to count again.": (
        "{number} {state}（{person}）；如需再次盘点，请另开盘点单。"
    ),
    (
        "{lots:number} of these lots are being counted on {numbers}: approve or cancel that count first, or leave "
        "these lots out."
    ): "其中 {lots} 个批号正在 {numbers} 上盘点：请先批准或取消该盘点，或去掉这些批号。",
    (
        "More is missing than lies there now, so the count or an entry since it is wrong: {lines:each}. Count "
        "these lots of {number} again."
    ): "短少数量超过现有数量，说明盘点或此后的录入有误：{lines}。请重新盘点 {number} 中的这些批号。",
    "{item:token} lot {lot:token}: {missing:number} missing when counted, {left:number} left": (
        "{item} 批号 {lot}：盘点时短少 {missing}，现余 {left}"
    ),
    "Nothing has been counted on {number}: count its lines first, or cancel it.": (
        "{number} 尚未盘点任何一行：请先盘点，或取消该盘点单。"
    ),
    "A sheet holds {most:number} lots and this one would have {lots:number}: count by item or by category.": (
        "一张盘点单最多 {most} 个批号，此单将有 {lots} 个：请按物资或类别分开盘点。"
    ),
    "Lot {lot} of {item} stands here twice: add the figures up into one line.": (
        "{item} 的批号 {lot} 出现两次：请将数量合并为一行。"
    ),
    "Lot {lot} is being counted on {number}: enter it there.": "批号 {lot} 正在 {number} 上盘点：请在该单录入。",
    "{person} has counted on {number}: a manager who has not counted on it must approve it.": (
        "{person} 参与了 {number} 的盘点：请由未参与盘点的主管批准。"
    ),
    "The sheet was opened at {moment}: count again what was counted before.": (
        "盘点单于 {moment} 开立：此前盘点的请重新盘点。"
    ),
    "Counted is a whole number of base units, 0 to 10^15.": "盘点数应为基本单位的整数，0 至 10^15，请修改。",
    # inspection
    "{place} has no bay: nothing waits for inspection there.": "{place} 没有待检区：那里没有待验收的货物，请核对库点。",
    "The goods are {item} already: pass them, or name what they become.": (
        "货物已经是 {item}：请判为合格，或填写降级后的物资。"
    ),
    "A downgrade, and only that, names its new item.": "只有降级须填写新物资，且必须填写，请核对。",
    "Say why: a rejected lot keeps its reason.": "请说明原因：拒收的批号须留存原因。",
    "Lot {lot} came from another place of the reserve: pass it and send it back by a transfer, or destroy it.": (
        "批号 {lot} 由储备内其他库点调入：请先验收通过再调拨退回，或予以销毁。"
    ),
    # consumption
    "Use is a whole number of base units, 0 or more.": "消耗量应为基本单位的整数，不小于 0，请修改。",
    "{location} {item} {day} stands in row {row:number} already; send each day once.": (
        "{location} {item} {day} 已在第 {row} 行；每天只报一次。"
    ),
    "{location} {item} {day} stands in an earlier row already; send each day once.": (
        "{location} {item} {day} 已在前面的行中；每天只报一次。"
    ),
    "The use of {location} is read from its issues; set its consumption_source to reports first.": (
        "{location} 的消耗量取自出库；请先将其 consumption_source 设为 reports。"
    ),
    "More than 10^15 units a day cannot be real: check the quantity.": "一天的消耗量不可能超过 10^15：请核对数量。",
    "{location} is set to use nothing, its reports would not count.": (
        "{location} 设为不计消耗，上报不会计入，请核对库点。"
    ),
    "{day} lies in the future; use is reported for past days.": "{day} 尚未到来；请只上报过去日期的消耗量。",
    "{asked:number} asked for and {used:number} used: what was asked for is at least what was used.": (
        "需求量 {asked}，消耗量 {used}：需求量不得小于消耗量。"
    ),
    "`since` lies after `until`: no day is asked for.": "`since` 晚于 `until`：未选取任何日期。",
    "At most {most:number} days are answered at once; ask in parts.": "一次最多查询 {most} 天；请分次查询。",
    "Nothing is known of the use of {item} at {location} on {day}: there is no day to leave out.": (
        "{location} 在 {day} 没有 {item} 的消耗记录，无可剔除。"
    ),
    "{day} of {item} at {location} is left out already; nothing was changed.": (
        "{location} 的 {item} 在 {day} 的消耗已被剔除；未作更改。"
    ),
    "{day} of {item} at {location} is not left out; nothing was changed.": (
        "{location} 的 {item} 在 {day} 的消耗未被剔除；未作更改。"
    ),
    "{location} is set to use nothing, its norm would not count.": "{location} 已设为无消耗，其定额不计入。",
    "{location} is a warehouse, what leaves it is used elsewhere: declare the use of those it supplies, or set its"
    " consumption_source.": (
        "{location} 是仓库，出库的物资在别处消耗：请为其供应的单位申报定额，或设置该库点的 consumption_source。"
    ),
    "{location} is a region that never reported use: declare the use of the places in it, or set its"
    " consumption_source.": ("{location} 是区域且从未上报消耗：请为其下属单位申报定额，或设置其 consumption_source。"),
    "No use of {item} at {location} is declared for {day}: there is nothing to take back.": (
        "{location} 在 {day} 没有 {item} 的申报用量，无可撤销。"
    ),
    "State the norm in one of three ways: units_per_day; persons, shifts and units_per_shift;"
    " or beds and units_per_bed_day.": (
        "定额请按三种方式之一填写：`units_per_day`；`persons`、`shifts`、`units_per_shift`；`beds`、`units_per_bed_day`。"
    ),
    "More than 10^15 units a day cannot be real: check the norm.": "每日用量超过 10^15，不合实际；请核对定额。",
    "a number from 0 to {most} is needed": "须为 0 至 {most} 的数",
    "at most three decimals are kept": "最多保留三位小数",
    # known changes of demand
    "There is no demand change {number}.": "没有编号为 {number} 的需求变化。",
    "Demand change {number} was taken back by {actor}; nothing was changed.": (
        "需求变化 {number} 已由 {actor} 撤销；未作更改。"
    ),
    "A change speaks of an item, of a category, or of all: name one of them or none.": (
        "需求变化针对一种物资、一个类别或全部物资；请只填其一，或都不填。"
    ),
    "A change ends on or after the day it begins.": "结束日期不得早于开始日期。",
    "A change lasts at most {most:number} days; state a longer one again when the year is over.": (
        "一次需求变化最长 {most} 天；更长的请到期后再登记。"
    ),
    "{day} is over: a change moves the days from today on, what was used is reported.": (
        "{day} 已过：需求变化只影响今天及以后，已发生的消耗请上报。"
    ),
    "A factor is 0 to {most:number}; 1 changes nothing.": "系数为 0 至 {most}；1 表示不变。",
    "{day} is before {earliest}; check the year.": "{day} 早于 {earliest}；请核对年份。",
    # policies and coverage
    "Policy {policy} is in force already; a new version begins on {day} or later.": (
        "储备标准 {policy} 已生效；新版本请从 {day} 或以后开始。"
    ),
    "There is already a policy {policy} of another scope or item; choose another code.": (
        "已有另一范围或物资的储备标准 {policy}；请改用其他编码。"
    ),
    "Policy {policy} has a version from {day} already; choose another day.": (
        "储备标准 {policy} 已有自 {day} 起的版本；请改选其他日期。"
    ),
    "A policy of kind {kind} needs {term}.": "类型为 {kind} 的储备标准须填写 {term}。",
    "Say the part that must lie there as physical_days or as physical_percent, not both.": (
        "实物部分请用 physical_days 或 physical_percent 之一表示，不要两个都填。"
    ),
    "physical_days is a part of the {days:number} required days.": "physical_days 是应储 {days} 天的一部分，不得更大。",
    "blue_percent is no more than yellow_percent.": "blue_percent 不得大于 yellow_percent。",
    "A policy of kind {kind} has no {term}.": "类型为 {kind} 的储备标准没有 {term}，请去掉。",
    "{term:token} is {least:number} to {most:number}.": "{term} 应在 {least} 至 {most} 之间，请修改。",
    "A policy ends on or after the day it begins.": "储备标准的截止日不得早于生效日，请修改。",
    "A policy speaks either of an item or of a category.": "储备标准须针对一种物资或一个类别，二者填一。",
    "A norm has at most three decimals.": "定额最多三位小数，请修改。",
    "{method:token} looks at more than the {days:number} days looked back on.": (
        "{method} 所看的天数超过回看的 {days} 天，请修改。"
    ),
    (
        "Unknown peak method {method}. Use rolling_mean_max[:days], rolling_mean_quantile[:p], day_max, "
        "day_quantile[:p], mean_upper[:p], mean or norm."
    ): (
        "未知的峰值方法 {method}。请选用 "
        "rolling_mean_max[:days]、rolling_mean_quantile[:p]、day_max、day_quantile[:p]、mean_upper[:p]、mean 或 "
        "norm。"
    ),
    # the database
    "The disk is full; nothing was recorded. Free space and send the same request again.": (
        "磁盘已满；未作任何记录。请腾出空间后重新提交同一请求。"
    ),
    "The database is busy; send the same request again in a second.": "数据库正忙；请稍等一秒后重新提交同一请求。",
    "The database does not answer; nothing was recorded. Send the same request again.": (
        "数据库无响应；未作任何记录。请重新提交同一请求。"
    ),
    "This database was made by a newer version of the product: run that version, or restore a backup.": (
        "该数据库由更新版本的系统建立：请运行该版本，或恢复备份。"
    ),
    "This database was made by a newer version of the product: run that version instead.": (
        "该数据库由更新版本的系统建立：请改用该版本运行。"
    ),
    "The database is {state:word}: run `reserve migrate` first.": "数据库为{state}：请先运行 `reserve migrate`。",
    "Another entry is being recorded; send the same request again in a second.": (
        "另一笔录入正在进行；请稍等一秒后重新提交同一请求。"
    ),
    "All connections are in use; send the same request again in a second.": (
        "连接已全部占用；请稍等一秒后重新提交同一请求。"
    ),
    "{file} cannot be opened ({why}); nothing was recorded. Make its folder writable.": (
        "无法打开 {file}（{why}）；未作任何记录。请使其所在文件夹可写。"
    ),
    "Too many entries meet at once; send the same request again in a second.": (
        "同时录入过多；请稍等一秒后重新提交同一请求。"
    ),
    "Another program is writing to the database; send the same request again in a second.": (
        "另一程序正在写入数据库；请稍等一秒后重新提交同一请求。"
    ),
    # scans
    "{text} may be a shortened UPC-E: let the scanner send it as UPC-A (12 digits), or type the item.": (
        "{text} 可能是缩短的 UPC-E：请让扫码枪按 UPC-A（12 位）发送，或手工录入物资。"
    ),
    "{text} can be read in two ways: let the scanner send the symbology identifier, or type what is printed.": (
        "{text} 有两种读法：请让扫码枪发送码制标识符，或手工录入标签上的内容。"
    ),
    (
        "({ai:token}) cannot hold {value}: scan again, or type what the label says. The scanner may drop the "
        "separator GS (FNC1): open scanner set-up and let it send GS, or type the item, the lot and the expiry "
        "from the label."
    ): (
        "({ai}) 的内容不能是 {value}：请重新扫码，或按标签手工录入。扫码枪可能丢失了分隔符 GS (FNC1)："
        "请在扫码枪设置中让其发送 GS，或按标签手工录入物资、批号和有效期至。"
    ),
    (
        "({ai:token}) goes on after {value}. The scanner may drop the separator GS (FNC1): open scanner set-up and "
        "let it send GS, or type the item, the lot and the expiry from the label."
    ): (
        "({ai}) 在 {value} 之后还有内容。扫码枪可能丢失了分隔符 GS (FNC1)：请在扫码枪设置中让其发送 GS，"
        "或按标签手工录入物资、批号和有效期至。"
    ),
    (
        "({last:token}) {value} seems to hold ({ai:token}) {rest} as well. The scanner may drop the separator GS "
        "(FNC1): open scanner set-up and let it send GS, or type the item, the lot and the expiry from the label."
    ): (
        "({last}) {value} 似乎还含有 ({ai}) {rest}。扫码枪可能丢失了分隔符 GS (FNC1)：请在扫码枪设置中让其发送 GS，"
        "或按标签手工录入物资、批号和有效期至。"
    ),
    (
        "{text} is not a GS1 Digital Link that names an item, …/01/GTIN/10/LOT?17=YYMMDD: scan another code of the "
        "label, or type the item, the lot and the expiry."
    ): (
        "{text} 不是指明物资的 GS1 Digital Link（…/01/GTIN/10/LOT?17=YYMMDD）：请扫描标签上的其他码，"
        "或手工录入物资、批号和有效期至。"
    ),
    "({ai:token}) {value} is no day, YYMMDD: scan again, or type the date that the label says.": (
        "({ai}) {value} 不是日期 YYMMDD：请重新扫码，或按标签手工录入日期。"
    ),
    "This is a HIBC code, which is not read here: type the item, the lot and the expiry from the label.": (
        "这是 HIBC 码，此处不能读取：请按标签手工录入物资、批号和有效期至。"
    ),
    "{packs:number} packs of {units:number} are more than 10^15: type the quantity.": (
        "{packs} 个包装、每个 {units}，合计超过 10^15：请手工录入数量。"
    ),
    "{sent} is {meant} with Caps Lock on, which spoils lots: turn it off, scan again.": (
        "{sent} 是开着 Caps Lock 时的 {meant}，批号会出错：请关闭 Caps Lock 后重新扫码。"
    ),
    "This is a code of Ali Health (AHM), which does not name a pack: type the item, lot and expiry.": (
        "这是阿里健康码 (AHM)，不指明包装：请手工录入物资、批号和有效期至。"
    ),
    "{text} is not a GTIN of 8, 12, 13 or 14 digits: scan again, or scan the square code.": (
        "{text} 不是 8、12、13 或 14 位的 GTIN：请重新扫码，或扫描方形码。"
    ),
    "({ai:token}) holds {value}, which a GS1 value has not: scan again, or type the label.": (
        "({ai}) 含有 {value}，GS1 的值中不会有它：请重新扫码，或按标签手工录入。"
    ),
    "{text} is not a GS1 identifier in brackets: write (01), (17), (10).": (
        "{text} 不是括号中的 GS1 标识符：请写成 (01)、(17)、(10)。"
    ),
    "({ai:token}) is not an identifier of GS1: type what the label says.": "({ai}) 不是 GS1 标识符：请按标签手工录入。",
    "{text} is not an MA code, MA.156.M0.rrrrrr.piiiiiic: type the item, the lot and the expiry.": (
        "{text} 不是 MA 码（MA.156.M0.rrrrrr.piiiiiic）：请手工录入物资、批号和有效期至。"
    ),
    "{text} gives two days for one: type the dates that the label says.": (
        "{text} 对同一日期给出了两个值：请按标签手工录入日期。"
    ),
    "The code names two trade items, {gtin:token} and {content:token}: type the item, the lot and the expiry.": (
        "此码指明了两种商品 {gtin} 和 {content}：请手工录入物资、批号和有效期至。"
    ),
    "It expires on {expires}, before it was made on {made}: compare with the label and type the dates.": (
        "有效期至 {expires} 早于生产日期 {made}：请核对标签后手工录入日期。"
    ),
    "A scan has at most {most:number} characters, not {length:number}.": (
        "一次扫码最多 {most} 个字符，此次有 {length} 个：请重新扫码。"
    ),
    "The scan holds the character U+{point:token}, which no code has: scan again, in English.": (
        "扫码内容含有字符 U+{point}，码中不会有它：请切换到英文输入法后重新扫码。"
    ),
    "The scan is empty: scan again.": "扫码内容为空：请重新扫码。",
    "{text} begins with nothing that GS1 knows: scan again, or type what the label says.": (
        "{text} 的开头不是 GS1 标识符：请重新扫码，或按标签手工录入。"
    ),
    "({ai:token}) is there twice, as {one} and as {other}: scan one code at a time.": (
        "({ai}) 出现两次，分别为 {one} 和 {other}：请一次只扫一个码。"
    ),
    "{text} is not a field of an MA code: type the item, the lot and the expiry.": (
        "{text} 不是 MA 码的字段：请手工录入物资、批号和有效期至。"
    ),
    "The check digit of {value} is wrong: read the number again, or type the one on the label.": (
        "{value} 的校验位有误：请重新读取，或按标签手工录入号码。"
    ),
    "({ai:token}) counts nothing: type the quantity from the label.": "({ai}) 的数量为零：请按标签手工录入数量。",
    "The code gives two net weights: scan one code at a time.": "此码给出了两个净重：请一次只扫一个码。",
    "This is the label of a place or document, not of goods.": "这是库点或单据的标签，不是货物的：请扫描货物标签。",
    (
        "The code has no separators: {lot} may hold more than the lot. Compare it with the label and send "
        "lot_number beside the scan."
    ): "此码没有分隔符：{lot} 可能不只是批号。请与标签核对，并随扫码一并填写 lot_number。",
    "This label of ours is torn: type what it stands for.": "本系统的这张标签已残缺：请手工录入其内容。",
    "This label names no lot of the catalogue; type item and lot.": "该标签没有指明在册的批号；请手工录入物资和批号。",
    "{field:token} was typed as {typed}, and the code says {scanned}: read the label again.": (
        "{field} 录入为 {typed}，而码上为 {scanned}：请重新核对标签。"
    ),
    "The code holds no lot number; send lot_number beside it.": "此码不含批号；请一并填写 lot_number。",
    "The code names no item; send item beside it.": "此码未指明物资；请一并填写 item。",
    # a forecast of very many series
    "{name} has the {period} of {day} in row {row} already: keep one of the two.": (
        "{name} 在 {day} 的数据（{period}）已在第 {row} 行：请只保留一行。"
    ),
    'The text is damaged after row {row}: save the sheet again as "CSV UTF-8".': (
        "第 {row} 行之后的文字已损坏：请重新另存为“CSV UTF-8”。"
    ),
    "This is no Parquet file, or it is damaged: write it again.": "这不是 `.parquet` 文件，或文件已损坏：请重新生成。",
    "The first row must name the columns series, date and quantity, or series and then one period a column.": (
        "首行须有系列、日期、数量三列，或系列名称之后每列一个时段。"
    ),
    "Two columns are of the same period: keep one of them.": "有两列属于同一时段：请只保留一列。",
    "Items or places were added since the unfinished run in {folder} began: remove the folder.": (
        "{folder} 中未完成的预测开始之后，物资或库点有增减：请删除该文件夹后重新运行。"
    ),
    "A worker process was ended from outside, perhaps for want of memory. What is finished is kept: run the same"
    " command with --resume, with fewer --workers or a smaller --chunk.": (
        "有工作进程被外部终止，可能因内存不足。已完成的部分保留："
        "请加 `--resume` 重新运行同一命令，并减少 `--workers` 或 `--chunk`。"
    ),
    "{folder} holds a run that was not finished: add --resume to go on with it, or remove it.": (
        "{folder} 中有一次未完成的预测：请加 `--resume` 继续，或删除该文件夹。"
    ),
    "The unfinished run in {folder} was begun with another {options}: ask as before, or remove the folder.": (
        "{folder} 中未完成的预测所用的 {options} 不同：请按原来的选项运行，或删除该文件夹。"
    ),
    "No Dask scheduler answers at {address}: check the address.": "{address} 没有 `dask` 调度器应答：请核对地址。",
    "Another process is working on {sheet}: wait for it, or choose another file.": (
        "另一进程正在生成 {sheet}：请等待其完成，或换一个文件名。"
    ),
    # sheets, as files
    "{n:number} things are wrong in the sheet and nothing was recorded. {first:said}": (
        "表格有 {n} 处错误，未作任何记录。{first}"
    ),
    "One thing is wrong in the sheet and nothing was recorded. {first:said}": "表格有 1 处错误，未作任何记录。{first}",
    "The sheet has column names only: write at least one row below them.": "表格只有列名：请在下面至少填写一行。",
    "The file is empty.": "文件为空，请重新选择。",
    "The file is larger than {most:number} MB: divide it.": "文件超过 {most} MB：请拆分。",
    'This is a workbook: save its sheet as "CSV UTF-8" and send that file.': (
        "这是工作簿：请将工作表另存为“CSV UTF-8”后提交该文件。"
    ),
    'The file is not plain text: save the sheet as "CSV UTF-8".': "文件不是纯文本：请将表格另存为“CSV UTF-8”。",
    'The file can be read as UTF-8 and as GB18030: save it as "CSV UTF-8", which says which it is.': (
        "文件既可按 UTF-8 也可按 GB18030 读取：请另存为“CSV UTF-8”以明确编码。"
    ),
    'The text is neither UTF-8 nor GB18030: save it as "CSV UTF-8".': (
        "文本既不是 UTF-8 也不是 GB18030：请另存为“CSV UTF-8”。"
    ),
    "A quotation mark is opened and not closed, stands in the middle of a cell, or the cell is too long.": (
        "引号未配对、出现在单元格中间，或单元格过长，请检查。"
    ),
    'The text is damaged in line {line:number}, at byte {byte:number}: save the sheet again as "CSV UTF-8".': (
        "文本第 {line} 行第 {byte} 字节处已损坏：请将表格重新另存为“CSV UTF-8”。"
    ),
    "The sheet has more than {most:number} cells: divide it.": "表格超过 {most} 个单元格：请拆分。",
    "There is no column {column}; the columns are {columns}.": "没有 {column} 列；可用的列为 {columns}。",
    "The column {column} ({also}) is there twice.": "{column}（{also}）列出现两次，请去掉一列。",
    "The first row must name a column {column} ({also}); the columns are {columns}.": (
        "首行须有 {column}（{also}）列；可用的列为 {columns}。"
    ),
    "This cell has no column name above it: is there a separator too many in the row?": (
        "该单元格上方没有列名：请检查该行是否多了分隔符。"
    ),
    # sheets, their cells
    "{column} ({also}) is empty: write it.": "{column}（{also}）为空：请填写。",
    "{cell} is not a whole number: write digits, such as 1200.": "{cell} 不是整数：请填写数字，例如 1200。",
    "There are spaces around the number: write {plain}.": "数字前后有空格：请写成 {plain}。",
    "{cell} is in full-width digits: write {plain}.": "{cell} 使用了全角数字：请写成 {plain}。",
    "{cell} has separators: write {plain}.": "{cell} 带有分隔符：请写成 {plain}。",
    "{cell} is not whole: quantities are whole base units, without a decimal point.": (
        "{cell} 不是整数：数量为基本单位的整数，请勿带小数点。"
    ),
    "{cell} was shortened by the spreadsheet: write all digits.": "{cell} 被电子表格缩写：请写出全部数字。",
    "{cell} has a unit: write the number of base units alone; packs are not converted.": (
        "{cell} 带有单位：请只填基本单位的数量；包装数不会换算。"
    ),
    "{number} is more than {most}: check the number.": "{number} 大于 {most}：请核对数字。",
    "{number} is below zero: write the quantity without a sign.": "{number} 小于零：数量请勿带负号。",
    "Write at least {least}.": "请填写不小于 {least} 的数。",
    "{day} is before {first} or after {last}: check the year.": "{day} 早于 {first} 或晚于 {last}：请核对年份。",
    "There is no day {day}: look at the calendar.": "没有 {day} 这一天：请核对日历。",
    "{cell} is how a spreadsheet counts days: format the column as 2026-04-01.": (
        "{cell} 是电子表格的日期序号：请将该列格式设为 2026-04-01。"
    ),
    "{cell} can be read in two ways: write year, month, day, such as 2026-04-01.": (
        "{cell} 有两种读法：请按年、月、日填写，例如 2026-04-01。"
    ),
    "{cell} is not a day: write it as 2026-04-01.": "{cell} 不是日期：请写成 2026-04-01 的形式。",
    "{cell} is not a code: 1 to 40 letters, digits, dots, underscores and hyphens.": (
        "{cell} 不是编码：应为 1 至 40 个字母、数字、点、下划线或连字符，请修改。"
    ),
    "{cell} is not a code: 1 to 40 letters, digits, dots, underscores and hyphens. Write {narrow}.": (
        "{cell} 不是编码：应为 1 至 40 个字母、数字、点、下划线或连字符。请写成 {narrow}。"
    ),
    "{cell} is not a lot number: 1 to 20 letters, digits and !\"%&'()*+,-./:;<=>?_": (
        "{cell} 不是批号：应为 1 至 20 个字母、数字或 !\"%&'()*+,-./:;<=>?_ 中的字符，请修改。"
    ),
    "{cell} is not a lot number: 1 to 20 letters, digits and !\"%&'()*+,-./:;<=>?_ Write {narrow}.": (
        "{cell} 不是批号：应为 1 至 20 个字母、数字或 !\"%&'()*+,-./:;<=>?_ 中的字符。请写成 {narrow}。"
    ),
    "{cell} was shortened by the spreadsheet: format the column as text.": (
        "{cell} 被电子表格缩写：请将该列格式设为文本。"
    ),
    "Character {place:number} is {character:token}, which cannot be seen or was damaged: type it again.": (
        "第 {place} 个字符是 {character}，不可见或已损坏：请重新录入。"
    ),
    "At most {most:number} characters, this has {length:number}.": "最多 {most} 个字符，此处有 {length} 个，请缩短。",
    "{cell} is not known here: write {expected}.": "{cell} 不在可选范围内：请填写 {expected}。",
    # sheets, their rows beside the books
    "This is in the books as {number}: take out row {rows}, or, if the same came twice, give it a reference.": (
        "台账中已有，单号 {number}：请去掉第 {rows} 行；如确实发生两次，请填写 reference 加以区分。"
    ),
    "The gtin is a pack of {item}: read it again.": "该 gtin 是 {item} 的包装规格：请重新核对。",
    "{place} lies below itself: write the place that is really above it.": (
        "{place} 成了自己的下级：请填写其真正的上级库点。"
    ),
    "There is no location {place}: import it first, or correct the code.": "没有库点 {place}：请先导入，或更正编码。",
    "There is no item {item}: import it first, or correct the code.": "没有物资 {item}：请先导入，或更正编码。",
    "{quantity} is below zero: the kind says which way goods go, write the quantity unsigned.": (
        "{quantity} 小于零：货物进出由类型决定，数量请勿带负号。"
    ),
    "Write why: one of {reasons}.": "请填写原因，选用其中之一：{reasons}。",
    "The lot expired on {day}, before it came in: check both days.": (
        "该批号已于 {day} 过期，早于入库日：请核对这两个日期。"
    ),
    "Write how many base units the pack holds.": "请填写该包装所含的基本单位数。",
    "{code} is in the books with {name} {kept:word}: write that, or choose another code.": (
        "{code} 在册的 {name} 为 {kept}：请照此填写，或改用其他编码。"
    ),
    "The pack is in the books with {column} {kept:word}: write that.": "该包装在册的 {column} 为 {kept}：请照此填写。",
    "There is no location {place}, neither in the books nor in this sheet.": (
        "台账和本表中都没有库点 {place}，请核对编码。"
    ),
    "The use of {place} is read from its issues and cannot be reported too.": (
        "{place} 的消耗量取自出库，不能另行上报，请去掉该行。"
    ),
    "Nothing moved: write a quantity, or take the row out.": "没有数量变动：请填写数量，或去掉该行。",
    "There is no lot {lot} of {item}, neither in the books nor in this sheet.": (
        "台账和本表中都没有 {item} 的批号 {lot}，请核对。"
    ),
    "Lot {lot} has the last usable day {there:word} in {where:phrase}: read the label again.": (
        "批号 {lot} 在{where}的有效期至为 {there}：请重新核对标签。"
    ),
    (
        "{requested:number} of {item} cannot leave: {usable:number} usable of {on_hand:number} there at that time. "
        "Write less, or add what came in before."
    ): "{item} 不能出库 {requested}：当时现有 {on_hand}，可用 {usable}。请减少数量，或补录此前的入库。",
    "{item} has {name} {before:word} in row {row:number}: write the same.": (
        "{item} 的 {name} 在第 {row} 行为 {before}：请填写一致。"
    ),
    "{code} stands in row {row:number} already.": "{code} 已在第 {row} 行，请去掉重复行。",
    "This gtin stands in row {row:number} already.": "该 gtin 已在第 {row} 行，请去掉重复行。",
    "A row of kind {kind} has no {column}: leave the cell empty.": (
        "类型为 {kind} 的行没有 {column}：请将该单元格留空。"
    ),
    "A last usable day belongs to a lot: write its number.": "有效期至属于批号：请填写批号。",
    "{item} expires: write the lot's last usable day.": "{item} 有有效期：请填写该批号的有效期至。",
    "{column} is of a pack: write its gtin, or leave both empty.": "{column} 属于包装：请填写其 gtin，或两者都留空。",
    "This place, item and day stand in row {row:number} already.": "该库点、物资和日期已在第 {row} 行，请去掉重复行。",
    "{item} expires: write the lot number.": "{item} 有有效期：请填写批号。",
    # bodies and files that are sent
    "A request body has at most 1 MiB; send fewer lines at a time.": "请求正文最多 1 MiB；请减少每次提交的行数。",
    "A sheet has at most 10 MiB here; split it, or use `reserve import`.": (
        "此处表格最多 10 MiB；请拆分，或使用 `reserve import`。"
    ),
    "Send JSON with `Content-Type: application/json`.": "请以 `Content-Type: application/json` 发送 JSON。",
    "Send the sheet itself with `Content-Type: text/csv`.": "请以 `Content-Type: text/csv` 直接发送表格。",
    "{constant} is not JSON: write a number, or leave the field out.": "{constant} 不是 JSON：请填数字，或不填此项。",
    "A name stands twice in one object.": "同一对象中有名称出现两次，请去掉一个。",
    "Byte {byte:number} is not UTF-8; send the body in UTF-8.": "第 {byte} 字节不是 UTF-8；请以 UTF-8 发送正文。",
    "This is not JSON at line {line:number}, column {column:number}.": (
        "第 {line} 行第 {column} 列处不是 JSON，请检查。"
    ),
    "This is not JSON.": "正文不是 JSON，请检查。",
    "A number has too many digits.": "有数字的位数过多，请核对。",
    "Nested more than {levels:number} levels deep.": "嵌套超过 {levels} 层，请减少。",
    "{format} is not written by this installation; ask for format=csv or leave format out for JSON.": (
        "本系统未安装 {format} 格式；请用 format=csv，或不填 format 以取得 JSON。"
    ),
    "Nothing lies there that a label could be made for.": "那里没有可打印标签的库存，请改选库点或批号。",
    "There are {pages:number} pages of labels.": "标签共 {pages} 页，请改选页码。",
    "There are no places yet: `reserve import locations FILE`, or `reserve demo`.": (
        "还没有库点：请运行 `reserve import locations FILE` 或 `reserve demo`。"
    ),
    "{text} is no anchor: write NUMBER:DIGEST as `reserve seals` prints it.": (
        "{text} 不是封存锚点：请按 `reserve seals` 输出的 NUMBER:DIGEST 填写。"
    ),
    "No worker lives: start `reserve watch`, or set RESERVE_WORKER=on and restart the server.": (
        "没有运行中的后台任务：请启动 `reserve watch`，或设 RESERVE_WORKER=on 后重启服务。"
    ),
    "Changes have waited more than ten minutes to be assessed; look at the worker's log.": (
        "有变动等待评估已超过十分钟；请查看后台任务的日志。"
    ),
    # addresses of receivers
    "A receiver's address is https://host/path, without a name or password in it.": (
        "接收人的地址形如 https://host/path，不得含用户名或密码，请修改。"
    ),
    "A public receiver is called by https on port 443 only; ask the operator to allow others.": (
        "公网接收人只能以 https 的 443 端口访问；其他情况请联系运维人员放行。"
    ),
    "This address lies inside a private network. The operator can allow it by RESERVE_RECEIVER_ALLOW.": (
        "该地址位于内部网络。请运维人员通过 RESERVE_RECEIVER_ALLOW 放行。"
    ),
    "This is not an address; write https://host/path.": "这不是地址；请写成 https://host/path。",
    "{host} does not resolve to an address.": "{host} 无法解析为地址，请核对。",
    # values in a body, in our words
    "write a day as YYYY-MM-DD": "日期请写成 YYYY-MM-DD",
    "a day lies between 1990 and 2100": "日期应在 1990 年至 2100 年之间",
    "write a moment with its offset, 2026-04-01T10:00:00+08:00, or a day": (
        "请写带时区偏移的时刻，例如 2026-04-01T10:00:00+08:00，或写日期"
    ),
    "write a moment with its offset, 2026-04-01T10:00:00+08:00": "请写带时区偏移的时刻，例如 2026-04-01T10:00:00+08:00",
    "a moment lies between 1990 and 2100": "时刻应在 1990 年至 2100 年之间",
    "text is needed": "请填写文字",
    "control or invisible characters are not allowed": "不得含控制字符或不可见字符，请删除",
    "text is needed, not only spaces": "请填写文字，不能只有空格",
    "there is no such day": "没有这一天，请核对",
    "there is no such moment": "没有这一时刻，请核对",
    "use one of {kinds}": "请选用其中之一：{kinds}",
    "a norm is a number above 0, at most 10^6": "定额应为大于 0、不超过 10^6 的数",
    "a price in yuan has at most four decimals and lies below 10^9": "单价（元）最多四位小数，且小于 10^9",
    "a price in yuan is needed, such as 1.25": "请填写单价（元），例如 1.25",
    "a line needs its lot_number, or a scan that holds it": "每行须有 lot_number，或含有批号的 scan",
    "a line needs its item, or a scan that names it": "每行须有 item，或指明物资的 scan",
    "a code has 1 to 40 letters, digits, dots, dashes or underscores": (
        "编码为 1 至 40 个字母、数字、点、连字符或下划线"
    ),
    "a lot number has 1 to 20 characters of a GS1 label": "批号为 1 至 20 个 GS1 标签可用的字符",
    # scenarios and norms of use
    "There is no scenario {code}; see GET /v1/scenarios.": "没有情景 {code}；请查看 GET /v1/scenarios。",
    "Scenario {code} has no run {run}.": "情景 {code} 没有第 {run} 次推演。",
    "There is already a scenario {code}; a scenario is never edited: choose another code.": (
        "情景 {code} 已存在；情景不可修改：请换用其他编码。"
    ),
    "{code} is the address of the comparison; choose another code.": "{code} 是对比页的地址；请换用其他编码。",
    "A scenario begins within {days:number} days from today, not on {day}.": (
        "情景须在今日起 {days} 天内开始，不能自 {day} 开始。"
    ),
    "A scenario of {days:number} days from {day} on is over; leave starts_on out to play it now.": (
        "自 {day} 起 {days} 天的情景已结束；去掉 starts_on 即从今日起推演。"
    ),
    "The {days:number} days of this scenario from {day} on are over; state another.": (
        "此情景自 {day} 起的 {days} 天已结束；请另建情景。"
    ),
    "The norms {norms} speak of no item: post some by POST /v1/norms.": (
        "定额 {norms} 未涉及任何物资：请用 `POST /v1/norms` 录入。"
    ),
    "The norms {norms} do not speak of {item}: post one, or leave the item out.": (
        "定额 {norms} 没有 {item} 的用量：请录入，或去掉该物资。"
    ),
    "The norms {norms} say nothing of the hours of {role} beside a {kind} patient: give them in staff.hours.": (
        "定额 {norms} 未说明 {role} 照护每名 {kind} 患者的工时：请在 `staff.hours` 中填写。"
    ),
    "A scenario works out at most {most:number} items, the norms speak of {found:number}: name some in items.": (
        "一个情景最多推演 {most} 种物资，定额涉及 {found} 种：请在 `items` 中指定。"
    ),
    "The scenario does not speak of {item}.": "该情景未涉及 {item}。",
    "Name 1 to {most:number} scenarios by their codes, with commas between them.": (
        "请写 1 至 {most} 个情景编码，以逗号分隔。"
    ),
    "Say {term}: cases become patients by it.": "请填写 {term}：病例按此转为住院。",
    "Say how many days {kind} patients stay.": "请填写 {kind} 患者的住院天数。",
    "Say for how many days the model runs.": "请填写模型推演的天数。",
    "low_factor is no more than high_factor.": "low_factor 不得大于 high_factor。",
    "Give one of curve, census, seir and csv; only a curve may stand beside a census.": (
        "请在 `curve`、`census`、`seir`、`csv` 中只给一项；只有 `curve` 可与 `census` 并列。"
    ),
    "The curve is longer than the census beside it.": "病例数的天数多于在院人数的天数，请改为一致。",
    "There are fewer people than are exposed and infectious.": "总人口少于潜伏与患病人数之和，请核对。",
    "Measures follow each other, each from a later day on.": "各项措施须按起始日先后排列，且起始日各不相同。",
    "A census says who is in bed: only available is said beside it.": (
        "在院人数已说明谁住院：此处只能另外给出 `available`。"
    ),
    "severe_share and critical_share together are at most 1.": "severe_share 与 critical_share 之和不得大于 1。",
    "The cases have {found:number} days: give days of at least that, or leave them out.": (
        "病例数据有 {found} 天：`days` 不得少于此数，或去掉 `days`。"
    ),
    "The census has {found:number} of {days:number} days: say all, or leave days out.": (
        "在院人数只有 {days} 天中的 {found} 天：请补全，或去掉 `days`。"
    ),
    "This day is after the end of the scenario.": "这一天在情景结束之后，请核对。",
    "Give patients of one class at least: {classes}.": "请至少给出一类患者的人数：{classes}。",
    "This class has {found:number} days, another {most:number}: say every day of each.": (
        "此类有 {found} 天，另一类有 {most} 天：请补全每一天。"
    ),
    "Give {one} or {other}, one of them.": "请在 {one} 与 {other} 中只给一项。",
    "an amount is a number from 0 to 10^9": "用量应为 0 至 10^9 的数",
    "an amount has at most three decimals": "用量最多三位小数",
    "There are no norms {norms}; load a preset by POST /v1/norms/presets/NAME or post your own.": (
        "没有定额 {norms}；请用 `POST /v1/norms/presets/NAME` 装入已发表的定额，或录入自己的定额。"
    ),
    "There is no preset {name}; there are {names}.": "没有名为 {name} 的已发表定额；现有 {names}。",
    "The preset {name} has no item {item}; it has {items}.": "定额 {name} 没有物资 {item}；其中有 {items}。",
    "A norm of {basis} has no bed_class.": "按 {basis} 计的定额不分患者类别，请去掉 bed_class。",
    "A norm of {basis} needs a {term}.": "按 {basis} 计的定额须填写 {term}。",
    "A norm of {basis} has no {term}.": "按 {basis} 计的定额没有 {term}，请去掉。",
    "Reusable is what staff wear (staff_shift) or what patients are tied to (patient_day).": (
        "可重复使用的只能是人员佩戴的（staff_shift）或患者占用的（patient_day）。"
    ),
    "This norm stands twice: send it once.": "此定额重复：请只提交一次。",
    (
        "The sheet says neither cases nor patients: add a column cases (新增病例), or severe (重型) and critical "
        "(危重型)."
    ): "表中既无病例也无在院人数：请加上「新增病例」列，或「重型」「危重型」列。",
    "A scenario has at most {most:number} days, the sheet has {found:number}: cut it.": (
        "情景最多 {most} 天，表中有 {found} 天：请截短。"
    ),
    "The day {day} is there twice.": "日期 {day} 重复，请去掉一行。",
    "Write {column} of this day: a day not told is not zero.": "请填写当日的 {column}：没有填报不等于零。",
    "The day {day} is missing: a day not told is not zero.": "缺少 {day}：没有填报不等于零，请补上。",
}
"""What the product says; a line that it says no more is found by the test."""

COMPOSED: Final[dict[str, str]] = {
    "Lot {first} expires first ({day}); take it, or say in the column reason why lot {lot} goes out instead.": (
        "批号 {first} 更早到期（{day}）；请先用它，或在 reason 列中说明为何改发批号 {lot}。"
    ),
    "row {row:number}, {column:phrase}: {rest:said}": "第 {row} 行 {column} 列：{rest}",
    "row {row:number}: {rest:said}": "第 {row} 行：{rest}",
    "column {column:number}": "第 {column}",
    "row {row:number}": "第 {row} 行",
}
"""Parts of what is put together while it runs."""

OTHERS: Final[dict[str, str]] = {
    # values in a body or an address, in pydantic's words
    "Field required": "必填，请补充",
    "Extra inputs are not permitted": "没有这个字段，请去掉",
    "Input should be a valid integer": "应为整数",
    "Input should be a valid integer, unable to parse string as an integer": "应为整数",
    "Input should be a valid integer, got a number with a fractional part": "应为整数，不能带小数",
    "Input should be a finite number": "应为有限的数",
    "Input should be a valid number": "应为数字",
    "Input should be a valid number, unable to parse string as a number": "应为数字",
    "Input should be a valid decimal": "应为数字",
    "Input should be a valid string": "应为文字",
    "Input should be a valid boolean": "应为 true 或 false",
    "Input should be a valid boolean, unable to interpret input": "应为 true 或 false",
    "Input should be a valid list": "应为列表",
    "Input should be a valid array": "应为列表",
    "Input should be a valid dictionary": "应为对象",
    "Input should be a valid object": "应为对象",
    "Input should be a valid dictionary or object to extract fields from": "应为对象",
    "Input should be a valid dictionary or instance of {model:drop}": "应为对象",
    "Input should be an object": "应为对象",
    "Input should be {choices:or}": "应为 {choices}",
    "Input should be greater than {least:number}": "应大于 {least}",
    "Input should be greater than or equal to {least:number}": "应不小于 {least}",
    "Input should be less than {most:number}": "应小于 {most}",
    "Input should be less than or equal to {most:number}": "应不大于 {most}",
    "Input should be a multiple of {step:number}": "应为 {step} 的倍数",
    "Input should be a valid date": "日期请写成 YYYY-MM-DD",
    "Input should be a valid date in the format YYYY-MM-DD{why:drop}": "日期请写成 YYYY-MM-DD",
    "Input should be a valid date or datetime{why:drop}": "日期请写成 YYYY-MM-DD",
    "Input should be a valid datetime{why:drop}": "时刻请写成 2026-04-01T10:00:00+08:00 的形式",
    "Input should have timezone info": "时刻请带时区偏移，例如 2026-04-01T10:00:00+08:00",
    "Datetimes provided to dates should have zero time - e.g. be exact dates": "日期请写成 YYYY-MM-DD",
    "String should have at least {least:number} {unit:drop}": "至少 {least} 个字符",
    "String should have at most {most:number} {unit:drop}": "最多 {most} 个字符",
    "String should match pattern '{pattern}'": "应符合格式 {pattern}",
    "List should have at least {least:number} {unit:drop} after validation, not {length:number}": (
        "至少 {least} 项，现有 {length} 项"
    ),
    "List should have at most {most:number} {unit:drop} after validation, not {length}": (
        "最多 {most} 项，现有 {length} 项"
    ),
    "Unable to parse input string as an integer, exceeded maximum size": "整数的位数过多",
    "JSON decode error": "正文不是 JSON",
    # what the server itself says
    "There is nothing at this address; see /openapi.json for what there is.": (
        "没有这个地址；可用的地址请查看 /openapi.json。"
    ),
    "This address does not take that method.": "该地址不支持这种请求方法，请改用其他方法。",
    "This is a fault of ours, not of your request; nothing was recorded. Please report it.": (
        "这是系统的错误，与您的请求无关；未作任何记录。请报告此问题。"
    ),
}
"""What pydantic, FastAPI and the server itself say."""

_HOLE = re.compile(r"\{([a-z_]+)(?::([a-z]+))?\}")
_NARROW: Final = {"number": r"[-0-9.,]+?", "token": r"\S+?", "drop": r".*?"}
_PARTS: Final = {"said", "each"}
_LABEL = re.compile(r"([\w./-]{1,80}): (.+)", re.DOTALL)


class Template:
    """One English sentence with holes, and its Chinese."""

    def __init__(self, english: str, chinese: str) -> None:
        self.english, self.chinese = english, chinese
        parts = _HOLE.split(english)
        self.literals: list[str] = parts[::3]
        self.holes: dict[str, str] = dict(zip(parts[1::3], (kind or "" for kind in parts[2::3]), strict=True))
        self.longest = max(self.literals, key=len)
        self.weight = (not _PARTS.isdisjoint(self.holes.values()), sum(map(len, self.literals)))
        """Which of two that fit is meant: what is put together before what could be one value, then the wordier."""

    @property
    def opening(self) -> str | None:
        """Its first word, where no hole touches it: where to look for it."""
        first, space, _ = self.literals[0].partition(" ")
        return first if space or not self.holes else None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """Each hole ends where the text behind it stands first, once and for all: linear, whatever the values hold."""
        parts = [re.escape(self.literals[0])]
        for n, (name, kind) in enumerate(self.holes.items(), start=1):
            value, behind = f"(?P<{name}>{_NARROW.get(kind, '.+?')})", re.escape(self.literals[n])
            parts.append(rf"{value}{behind}\Z" if n == len(self.holes) else f"(?>{value}{behind})")
        return re.compile("".join(parts), re.DOTALL)

    def read(self, sentence: str) -> dict[str, str] | None:
        """The values of the holes, or None where this is another sentence."""
        if not self.holes:
            return {} if sentence == self.english else None
        found = self._pattern.match(sentence)
        return found and found.groupdict()

    def say(self, values: dict[str, str], depth: int) -> str | None:
        """The Chinese sentence; None where a part of it has none."""
        said = {}
        for name, kind in self.holes.items():
            value = _KINDS[kind](values[name], depth) if kind in _KINDS else values[name]
            if value is None:
                return None
            said[name] = value
        return self.chinese.format(**said)


def translate(sentence: str) -> str:
    """The sentence in Chinese; in English where the table has no line for it."""
    found = _translated(sentence, 0)
    if found is None:
        _tell_once(sentence)
        return sentence
    return found


def title(english: str) -> str:
    return TITLES.get(english, english)


def candidates(sentence: str) -> list[Template]:
    """The lines that this could be, the likeliest first."""
    by_opening, others = _index()
    found = [
        template
        for template in (*by_opening.get(sentence.partition(" ")[0], ()), *others)
        if template.longest in sentence and sentence.endswith(template.literals[-1])
    ]
    return sorted(found, key=lambda template: template.weight, reverse=True)


def _translated(sentence: str, depth: int) -> str | None:
    if depth > DEPTH_MAX or len(sentence) > LENGTH_MAX:
        return None
    for template in candidates(sentence):
        values = template.read(sentence)
        said = None if values is None else template.say(values, depth + 1)
        if said is not None:
            return said
    labelled = _LABEL.fullmatch(sentence)  # `/lines/0/quantity: Field required`
    said = labelled and _translated(labelled[2], depth + 1)
    return f"{labelled[1]}：{said}" if labelled and said else None


@lru_cache(maxsize=1)
def _index() -> tuple[dict[str, list[Template]], list[Template]]:
    by_opening: dict[str, list[Template]] = defaultdict(list)
    others = []
    for template in (Template(*pair) for pair in (SENTENCES | COMPOSED | OTHERS).items()):
        if template.opening is None:
            others.append(template)
        else:
            by_opening[template.opening].append(template)
    return dict(by_opening), others


def _word(value: str, _depth: int) -> str:
    return WORDS.get(value, value)


def _phrase(value: str, depth: int) -> str:
    return WORDS.get(value) or _translated(value, depth) or value


def _each(value: str, depth: int) -> str | None:
    said = [_translated(part, depth) for part in value.split("; ")]
    whole = [part for part in said if part is not None]
    return "；".join(whole) if len(whole) == len(said) else None


def _or(value: str, _depth: int) -> str:
    return value.replace(" or ", " 或 ")


_KINDS: Final[dict[str, Callable[[str, int], str | None]]] = {
    "word": _word,
    "phrase": _phrase,
    "or": _or,
    "said": _translated,
    "each": _each,
}

_untold: set[str] = set()


def _tell_once(sentence: str) -> None:
    begun = sentence[:200]
    if begun not in _untold and len(_untold) < _UNTOLD_MAX:
        _untold.add(begun)
        log.debug("no Chinese for a refusal: %r", begun)
