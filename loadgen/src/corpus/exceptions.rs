//! Exceptions with stack traces as the languages print them.

use fastrand::Rng;

use super::random::pick;

/// What failed, as attributes `exception.*` tell it.
#[derive(Debug)]
pub(super) struct Exception {
    pub(super) class: &'static str,
    pub(super) message: String,
    pub(super) stack: String,
}

const JAVA: [(&str, &str); 4] = [
    ("java.net.SocketTimeoutException", "Read timed out"),
    (
        "java.util.concurrent.TimeoutException",
        "Did not observe any item within 2000ms",
    ),
    (
        "org.springframework.dao.CannotAcquireLockException",
        "could not obtain lock on row in relation",
    ),
    ("java.lang.IllegalStateException", "Unexpected state"),
];
const OTHERS: [&[(&str, &str)]; 4] = [
    &[
        ("*url.Error", "context deadline exceeded"),
        (
            "*pgconn.PgError",
            "ERROR: deadlock detected (SQLSTATE 40P01)",
        ),
    ],
    &[
        ("Error", "connect ECONNREFUSED"),
        (
            "TypeError",
            "Cannot read properties of undefined (reading 'id')",
        ),
    ],
    &[
        (
            "requests.exceptions.ReadTimeout",
            "HTTPConnectionPool: Read timed out.",
        ),
        ("KeyError", "'currency'"),
    ],
    &[
        ("System.TimeoutException", "The operation has timed out."),
        (
            "System.NullReferenceException",
            "Object reference not set to an instance of an object.",
        ),
    ],
];
const JAVA_FRAMES: [&str; 12] = [
    "org.springframework.web.servlet.FrameworkServlet.service(FrameworkServlet.java:885)",
    "jakarta.servlet.http.HttpServlet.service(HttpServlet.java:658)",
    "org.apache.catalina.core.ApplicationFilterChain.internalDoFilter(ApplicationFilterChain.java:195)",
    "org.apache.catalina.core.StandardWrapperValve.invoke(StandardWrapperValve.java:167)",
    "org.apache.catalina.core.StandardContextValve.invoke(StandardContextValve.java:90)",
    "org.apache.catalina.authenticator.AuthenticatorBase.invoke(AuthenticatorBase.java:483)",
    "org.apache.catalina.core.StandardHostValve.invoke(StandardHostValve.java:115)",
    "org.apache.catalina.connector.CoyoteAdapter.service(CoyoteAdapter.java:344)",
    "org.apache.coyote.http11.Http11Processor.service(Http11Processor.java:397)",
    "org.apache.tomcat.util.net.NioEndpoint$SocketProcessor.doRun(NioEndpoint.java:1741)",
    "org.apache.tomcat.util.threads.ThreadPoolExecutor.runWorker(ThreadPoolExecutor.java:1190)",
    "java.base/java.lang.Thread.run(Thread.java:1583)",
];
const LAYERS: [&str; 5] = ["Controller", "Service", "Repository", "Client", "Mapper"];

/// Thrown by a service of the language with this index in [`super::names::LANGUAGES`].
pub(super) fn exception(random: &mut Rng, language: usize, noun: &str) -> Exception {
    let known = if language == 0 {
        &JAVA[..]
    } else {
        OTHERS[language - 1]
    };
    let (class, reason) = known[random.usize(..known.len())];
    let message = format!("{reason} [{noun} {}]", random.u32(1000..900_000));
    let frames: Vec<String> = (0..random.usize(3..9))
        .map(|_| frame(random, language, noun))
        .collect();
    let below: &[&str] = if language == 0 {
        &JAVA_FRAMES[random.usize(..3)..]
    } else {
        &[]
    };
    let mut stack = format!("{class}: {message}");
    let before = if language == 3 { "\n  " } else { "\n\tat " };
    for frame in frames
        .iter()
        .map(String::as_str)
        .chain(below.iter().copied())
    {
        stack.push_str(before);
        stack.push_str(frame);
    }
    Exception {
        class,
        message,
        stack,
    }
}

fn frame(random: &mut Rng, language: usize, noun: &str) -> String {
    let layer = pick(random, &LAYERS);
    // A program's own lines are few: the same ones fail again and again.
    let line = 20 + 7 * random.u32(0..60);
    match language {
        0 => format!("com.shop.{noun}.{noun}{layer}.load({noun}{layer}.java:{line})"),
        1 => format!(
            "shop/internal/{noun}.(*{layer}).Load(0xc{:09x}) {noun}/{layer}.go:{line}",
            random.u32(..)
        ),
        2 => format!(
            "{layer}.load (/app/dist/{noun}/{layer}.js:{line}:{})",
            random.u8(4..60)
        ),
        3 => format!("File \"/app/{noun}/{layer}.py\", line {line}, in load"),
        _ => {
            format!("Shop.{noun}.{layer}.LoadAsync(Int64 id) in /src/{noun}/{layer}.cs:line {line}")
        }
    }
}
