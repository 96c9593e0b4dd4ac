// Opens a page in Debian's Chromium and prints what the page says of its exchange over WebSocket. Arguments: the
// browser, the page's URL.
'use strict'
const { chromium } = require('playwright-core')

async function main([executablePath, url]) {
  const browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu']
  })
  try {
    const context = await browser.newContext({ ignoreHTTPSErrors: true })
    const page = await context.newPage()
    page.on('console', (message) => console.log(`console: ${message.text()}`))
    page.on('pageerror', (error) => console.log(`error: ${error}`))
    await page.goto(url)
    await page.waitForFunction('window.outcome', null, { timeout: 20000 })
    console.log(`outcome: ${await page.evaluate('window.outcome')}`)
  } finally {
    await browser.close()
  }
}

main(process.argv.slice(2)).catch((error) => { console.log(`failed: ${error}`); process.exit(1) })
