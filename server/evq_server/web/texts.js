// The page's words, in English and Korean. Elements name theirs with `data-text`.

const TEXTS = {
  en: {
    skip: "Skip to the content", tagline: "Participant import", forgetKey: "Sign out",
    keyTitle: "Enter the server's key", key: "Key", continue: "Continue",
    keyHelp: "It is in the file api-key of the server's data folder. It stays in this tab only.",
    keyWrong: "The server does not accept this key.",
    event: "Event", eventId: "Event id", open: "Open", change: "Change", create: "Create",
    eventHelp: "Lower-case letters, digits and hyphens.", eventNew: "There is no such event yet. Create it:",
    eventName: "Name", eventLanguage: "Language of its mails",
    upload: "Upload participants", drop: "Drop a CSV or Excel file here", browse: "or press to choose one",
    options: "Options", duplicates: "Already registered", duplicatesSkip: "Leave as they are",
    duplicatesUpdate: "Update from the file", duplicatesError: "Report as errors",
    mode: "Rows with errors", modePartial: "Import the others", modeAll: "Import nothing",
    region: "Country of phone numbers", ticketTypes: "Ticket types, if others are errors",
    uploadedBy: "Tell me by e-mail", welcome: "Send welcome e-mails with the ticket",
    dryRun: "Only check the file (dry run)", start: "Start the import",
    progress: "Progress", cancel: "Cancel", cancelling: "Stopping …", uploading: "Uploading the file",
    step0: "Read", step1: "Check", step2: "Save", step3: "Tickets", step4: "E-mails",
    remaining: "about {time} left", seconds: "{n} s", minutes: "{n} min",
    reconnecting: "Connection lost; trying again …",
    pending: "Waiting", processing: "Running", completed: "Completed", failed: "Failed", cancelled: "Cancelled",
    result: "Result", insertedCount: "New", updatedCount: "Updated", skippedCount: "Skipped",
    errorCount: "Rejected", tokens: "Tickets", emailsSent: "E-mails",
    saidCompleted: "The file has been imported.", saidDryRun: "Only checked: nothing was saved.",
    saidNobody: "Nobody was imported; every row has errors ({n}).",
    saidCancelled: "The import was cancelled. What had been saved before stays.",
    readAs: "Read as: {how}.", leftOut: "{header} left out", notRead: "Hidden sheets were not read: {sheets}.",
    othersNotRead: "Only one sheet is read; these look like lists, too: {sheets}.",
    getErrors: "Rejected rows (CSV)", getWarnings: "Warnings (CSV)", saidWarnings: "Warnings to look at: {n}.",
    saidNameless: "No column of names was found; participants have no name.", getQr: "QR codes (ZIP)", replay: "Run again", another: "Upload another file",
    firstErrors: "The first {n} rejected rows", row: "Row", reason: "What is wrong", people: "Participants", peopleNone: "Nobody yet.", more: "Show more",
    name: "Name", email: "E-mail", phone: "Phone", ticket: "Ticket", show: "Show",
    unreachable: "The server cannot be reached. Check the connection and try again.",
    uploadBroken: "The upload was interrupted. Try again.",
    jobGone: "The server does not know this import any more.",
  },
  ko: {
    skip: "본문으로 건너뛰기", tagline: "참가자 가져오기", forgetKey: "로그아웃",
    keyTitle: "서버 키를 입력하세요", key: "키", continue: "계속",
    keyHelp: "서버 데이터 폴더의 api-key 파일에 있습니다. 이 탭에만 보관됩니다.",
    keyWrong: "서버가 이 키를 받아들이지 않습니다.",
    event: "행사", eventId: "행사 ID", open: "열기", change: "변경", create: "만들기",
    eventHelp: "영문 소문자, 숫자, 하이픈을 쓸 수 있습니다.", eventNew: "아직 없는 행사입니다. 새로 만드세요.",
    eventName: "이름", eventLanguage: "메일 언어",
    upload: "참가자 명단 올리기", drop: "CSV 또는 엑셀 파일을 여기에 놓으세요", browse: "또는 눌러서 파일을 고르세요",
    options: "설정", duplicates: "이미 등록된 사람", duplicatesSkip: "그대로 두기",
    duplicatesUpdate: "파일 내용으로 갱신", duplicatesError: "오류로 보고",
    mode: "오류가 있는 행", modePartial: "나머지만 가져오기", modeAll: "전체 취소",
    region: "전화번호의 국가 코드", ticketTypes: "허용할 티켓 종류 (쉼표로 구분)",
    uploadedBy: "결과를 받을 이메일", welcome: "티켓이 담긴 환영 메일 보내기",
    dryRun: "파일 검사만 하기 (저장 안 함)", start: "가져오기 시작",
    progress: "진행 상황", cancel: "취소", cancelling: "멈추는 중 …", uploading: "파일을 올리는 중",
    step0: "읽기", step1: "검사", step2: "저장", step3: "티켓", step4: "메일",
    remaining: "약 {time} 남음", seconds: "{n}초", minutes: "{n}분",
    reconnecting: "연결이 끊겨 다시 연결하는 중 …",
    pending: "대기 중", processing: "진행 중", completed: "완료", failed: "실패", cancelled: "취소됨",
    result: "결과", insertedCount: "신규", updatedCount: "갱신", skippedCount: "건너뜀",
    errorCount: "오류", tokens: "티켓", emailsSent: "메일",
    saidCompleted: "가져오기를 마쳤습니다.", saidDryRun: "검사만 했으며 저장하지 않았습니다.",
    saidNobody: "등록된 참가자가 없습니다. {n}개 행 모두에 오류가 있습니다.",
    saidCancelled: "가져오기를 취소했습니다. 그 전에 저장된 내용은 남아 있습니다.",
    readAs: "파일을 읽은 방법: {how}.", leftOut: "{header} 제외", notRead: "숨겨진 시트는 읽지 않았습니다: {sheets}.",
    othersNotRead: "시트는 하나만 읽습니다. 명단으로 보이지만 읽지 않은 시트: {sheets}.",
    getErrors: "오류 행 (CSV)", getWarnings: "확인할 행 (CSV)", saidWarnings: "확인이 필요한 경고가 {n}건 있습니다.",
    saidNameless: "이름이 든 열을 찾지 못해 참가자 이름이 비어 있습니다.", getQr: "QR 코드 (ZIP)", replay: "다시 실행", another: "다른 파일 올리기",
    firstErrors: "처음 오류 {n}건", row: "행", reason: "오류", people: "참가자", peopleNone: "아직 없습니다.", more: "더 보기",
    name: "이름", email: "이메일", phone: "전화번호", ticket: "티켓", show: "보기",
    unreachable: "서버에 연결할 수 없습니다. 연결을 확인하고 다시 시도하세요.",
    uploadBroken: "업로드가 중단되었습니다. 다시 시도하세요.",
    jobGone: "서버에 더 이상 없는 가져오기입니다.",
  },
};

const stored = localStorage.getItem("evq.language");
export let language = stored ?? (navigator.language.startsWith("ko") ? "ko" : "en");

export function text(name, values = {}) {
  return TEXTS[language][name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

export const number = (value) => value.toLocaleString(language);

export function duration(seconds) {
  return seconds < 90 ? text("seconds", { n: Math.ceil(seconds) }) : text("minutes", { n: Math.round(seconds / 60) });
}

export function size(bytes) {
  const [unit, power] = bytes < 2 ** 20 ? ["kB", 2 ** 10] : ["MB", 2 ** 20];
  return `${(bytes / power).toLocaleString(language, { maximumFractionDigits: 1 })} ${unit}`;
}

export function translate() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = text(element.dataset.text);
}

export function toggleLanguage() {
  language = language === "ko" ? "en" : "ko";
  localStorage.setItem("evq.language", language);
}
